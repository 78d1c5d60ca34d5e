"""The power of forget quality: how often its test sees a model that differs from Retrain, by the number of questions."""

import math
import warnings
from functools import cache

import numpy as np
from scipy.stats import ks_2samp

from palimpsest.streams import stream

DRAWS = 4000


@cache
def ks_power(items: int, shift: float, level: float) -> float:
    """Return the share of studies in which the Kolmogorov-Smirnov test of two models, each with `items` values, is significant.

    Both models have normal values with the same sd; one mean is `shift` sd higher. The simulation gives the same each time.
    """
    drawn = stream(0, "power", items).normal(size=(DRAWS, 2 * items))
    drawn[:, items:] += shift
    # At each of the pooled values, in order, how many more of the first model lie below than of the second.
    steps = np.where(np.argsort(drawn, axis=1) < items, 1, -1)
    farthest = np.abs(np.cumsum(steps, axis=1)).max(axis=1)
    return float(np.mean(farthest >= _least_significant(items, level)))


def _least_significant(items: int, level: float) -> int:
    """Return the least significant statistic as a number of items; two samples of integers have any that is wanted."""
    values = np.arange(items)
    with warnings.catch_warnings():
        # Where its exact formula fails, scipy takes the asymptotic one, as in forget quality itself.
        warnings.simplefilter("ignore", RuntimeWarning)
        return next((k for k in range(math.isqrt(items), items + 1) if ks_2samp(values, values + k).pvalue <= level), items + 1)
