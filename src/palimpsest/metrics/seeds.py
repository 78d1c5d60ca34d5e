"""Statistics over seeds: mean, spread and interval, and the paired comparison of two methods."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.spread import are_finite, mean
from palimpsest.streams import stream

# Up to this number of seeds, the sign-flip test is exact.
EXACT_SEEDS = 16


class Comparison(NamedTuple):
    """The difference between two methods over their common seeds."""

    difference: float
    """The mean difference, the first minus the second."""
    interval: Interval
    """The `bootstrap_interval` of the mean difference."""
    p_value: float
    """Two-sided p-value of the sign-flip test; with n seeds at least 2 / 2**n."""
    higher: int
    """The number of seeds in which the first method is higher."""


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two methods by values of shape (seeds,), paired by seed.

    The test is Fisher's permutation test of paired samples: exact up to 16 seeds, with random signs beyond. All results except
    `higher` are NaN if a value is not finite or there is none.
    """
    pairs = list(zip(first, second, strict=True))
    higher = sum(a > b for a, b in pairs)
    if not are_finite([*first, *second]):
        return Comparison(math.nan, Interval(math.nan, math.nan), math.nan, higher)
    differences = [a - b for a, b in pairs]
    return Comparison(mean(differences), bootstrap_interval(differences), _sign_flip_p_value(differences), higher)


def _sign_flip_p_value(differences: Sequence[float]) -> float:
    if len(differences) == 1:
        return 1.0
    test = scipy.stats.permutation_test(
        (np.sort(differences),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT_SEEDS,
        rng=stream(0, "sign flips"),
    )
    return float(test.pvalue)
