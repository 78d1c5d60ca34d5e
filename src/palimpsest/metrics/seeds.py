"""Statistics over seeds: the paired comparison of two methods, Holm's correction, and what a number of seeds can show."""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import nct, ttest_1samp
from scipy.stats import t as student

from palimpsest.metrics.intervals import LEVEL, Interval
from palimpsest.metrics.spread import ROUNDING, are_finite, mean


class Comparison(NamedTuple):
    """The difference between two methods over their common seeds."""

    difference: float
    """The mean difference, the first minus the second."""
    interval: Interval
    """The 95 % t interval of the mean difference."""
    p_higher: float
    """One-sided p-value of the paired t-test: small where the first method is higher."""
    p_lower: float
    """The same where it is lower."""
    higher: int
    """The number of seeds in which the first method is higher."""


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two methods by values of shape (seeds,), paired by seed, with Student's paired t-test.

    All results except `higher` are NaN if a value is not finite or there is none; one seed has a difference alone. If all
    differences are equal, one p-value is 0 and the other 1; if they are all 0, both are 1.
    """
    pairs = list(zip(first, second, strict=True))
    higher = sum(a > b for a, b in pairs)
    if not are_finite([*first, *second]):
        return Comparison(math.nan, Interval(math.nan, math.nan), math.nan, math.nan, higher)
    # Sorted, so that the order of the seeds does not change the last digits.
    differences = np.sort([a - b for a, b in pairs])
    average = mean(differences.tolist())
    if len(pairs) == 1:
        return Comparison(average, Interval(math.nan, math.nan), math.nan, math.nan, higher)
    if np.ptp(differences) <= ROUNDING * np.abs(differences).max():
        return Comparison(average, Interval(average, average), float(average <= 0), float(average >= 0), higher)
    found = ttest_1samp(differences, 0)
    bounds = found.confidence_interval(LEVEL)
    p_higher, p_lower = (float(student.sf(sign * found.statistic, found.df)) for sign in (1, -1))
    return Comparison(average, Interval(float(bounds.low), float(bounds.high)), p_higher, p_lower, higher)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values, shape (tests,), corrected by Holm (1979): at most 5 % of studies have one below 5 % by luck."""
    order = np.argsort(p_values, kind="stable")
    corrected: NDArray[np.float64] = np.empty(len(order))
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p_value) for p_value in corrected]


@cache
def visible_difference(seeds: int, level: float, power: float) -> float:
    """Return the mean difference, in sd of the differences over seeds, that a one-sided paired t-test sees with a power.

    NaN for fewer than two seeds. By the noncentral t distribution.
    """
    if seeds < 2:
        return math.nan
    threshold = student.isf(level, seeds - 1)
    return float(brentq(lambda effect: nct.sf(threshold, seeds - 1, effect * math.sqrt(seeds)) - power, 0, 100))
