"""Bootstrap confidence intervals: 95 % percentile intervals (Efron, 1979)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from palimpsest.metrics.spread import are_finite
from palimpsest.streams import stream

LEVEL = 0.95
RESAMPLES = 9999
# Values that are drawn at a time, so that many items take no more memory: 32 MB for the draws of one sample.
DRAWN = 2**22


class Interval(NamedTuple):
    """The bounds of an interval; NaN if it is undefined."""

    low: float
    high: float


def bootstrap_interval(values: Sequence[float]) -> Interval:
    """Return the bootstrap interval of the mean of values, shape (items,) or (seeds,).

    The interval is deterministic, and has width 0 if all values are equal. NaN in the same cases as `sd`.
    """
    if not are_finite(values, least=2):
        return Interval(math.nan, math.nan)
    if len(set(values)) == 1:
        return Interval(float(values[0]), float(values[0]))
    # Sorted, so that the order of the values does not matter.
    return resampled_interval((np.sort(values),), np.mean)


def resampled_interval(samples: Sequence[NDArray[Any]], statistic: Callable[..., Any]) -> Interval:
    """Return the bootstrap interval of a statistic of samples, each of shape (items,) and resampled independently.

    `statistic` takes the samples and the `axis` of their items. NaN if a sample has fewer than two items, if the statistic is
    NaN, or if a bound is not finite.
    """
    if any(len(sample) < 2 for sample in samples) or np.isnan(statistic(*samples, axis=-1)):
        return Interval(math.nan, math.nan)
    # scipy's standard error, which is not used, is undefined for infinite draws.
    with np.errstate(invalid="ignore"):
        drawn = scipy.stats.bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            batch=max(1, DRAWN // sum(map(len, samples))),
            confidence_level=LEVEL,
            vectorized=True,
            method="percentile",
            rng=stream(0, "bootstrap"),
        )
    low, high = map(float, drawn.confidence_interval)
    return Interval(low, high) if are_finite([low, high]) else Interval(math.nan, math.nan)
