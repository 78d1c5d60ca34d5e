"""What trials with several seeds say together: mean and spread, how sure the mean is, and whether two methods differ."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import permutation_test

from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.spread import are_finite, mean
from palimpsest.streams import stream

# Up to so many seeds every way to flip signs is tried.
EXACT_SEEDS = 16


class Comparison(NamedTuple):
    """How one method differs from another over the seeds that both have."""

    difference: float
    """The mean difference, the first minus the second."""
    interval: Interval
    """Of the mean difference, as `bootstrap_interval` gives it."""
    p_value: float
    """Two-sided, of flipping the signs of the differences; of n seeds at least 2 / 2**n."""
    higher: int
    """In how many seeds the first is higher."""


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two methods by values (seeds,), each paired with the other's of the same seed.

    The test is Fisher's of paired samples: exact up to 16 seeds, with drawn signs beyond. All but `higher` is NaN where
    a value is not finite or there is none.
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
    test = permutation_test(
        (np.sort(differences),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT_SEEDS,
        rng=stream(0, "sign flips"),
    )
    return float(test.pvalue)
