"""How sure a number is that is read off a few values: the 95 % percentile interval of the bootstrap (Efron, 1979)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from palimpsest.metrics.spread import are_finite
from palimpsest.streams import stream

LEVEL = 0.95
RESAMPLES = 9999


class Interval(NamedTuple):
    """Bounds of a number; NaN where it has none."""

    low: float
    high: float


def bootstrap_interval(values: Sequence[float]) -> Interval:
    """Return the interval of the mean of values (items,) or (seeds,) drawn with replacement.

    The same values give the same interval, and equal values one without width. NaN as for `sd`.
    """
    if not are_finite(values, least=2):
        return Interval(math.nan, math.nan)
    if len(set(values)) == 1:
        return Interval(float(values[0]), float(values[0]))
    # Sorted, so that the order of the values does not count.
    return resampled_interval((np.sort(values),), np.mean)


def resampled_interval(samples: Sequence[NDArray[Any]], statistic: Callable[..., Any]) -> Interval:
    """Return the interval of a statistic of samples (items,), each drawn from with replacement and apart from the others.

    `statistic` takes the samples and the `axis` of their items. NaN where a sample has fewer than two items, where the
    statistic is NaN, and where a bound is not finite.
    """
    if any(len(sample) < 2 for sample in samples) or np.isnan(statistic(*samples, axis=-1)):
        return Interval(math.nan, math.nan)
    # Infinite draws have no standard error, which is not looked at.
    with np.errstate(invalid="ignore"):
        drawn = bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            vectorized=True,
            method="percentile",
            rng=stream(0, "bootstrap"),
        )
    low, high = map(float, drawn.confidence_interval)
    return Interval(low, high) if are_finite([low, high]) else Interval(math.nan, math.nan)
