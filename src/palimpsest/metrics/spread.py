"""Means and standard deviations that are NaN if a value is not finite, so that a collapsed trial stays visible."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Numbers that differ by less than this share are the same: the rest is rounding.
ROUNDING = 1e-9


def mean(values: Sequence[float]) -> float:
    """Return the mean of values, shape (seeds,), independent of their order; NaN for no values or if a value is not finite."""
    return statistics.mean(map(float, values)) if are_finite(values) else math.nan


def mean_share(values: Array) -> float:
    """Return the mean of values in [0, 1], shape (items,); NaN for no values or if a value is NaN or outside."""
    return float(values.mean()) if values.size and values.min() >= 0 and values.max() <= 1 else math.nan


def sd(values: Sequence[float]) -> float:
    """Return the sample standard deviation of values, shape (seeds,); NaN for fewer than two or if a value is not finite."""
    return statistics.stdev(map(float, values)) if are_finite(values, least=2) else math.nan


def are_finite(values: Sequence[float], least: int = 1) -> bool:
    """Return whether there are at least `least` values and all of them are finite."""
    return len(values) >= least and all(map(math.isfinite, values))
