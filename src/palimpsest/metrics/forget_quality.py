"""Forget quality of TOFU (arXiv 2401.06121, Sec. 2.2.3): how well the truth ratios hide among those of Retrain."""

import math
import warnings
from typing import NamedTuple

from scipy.stats import ks_2samp

from palimpsest.metrics.truth_ratio import Array

LEAST_ITEMS = 2


class ForgetQuality(NamedTuple):
    """The p-value, which is the forget quality, and the statistic of the Kolmogorov-Smirnov test."""

    p_value: float
    statistic: float


def forget_quality(log_ratio: Array, retrain_log_ratio: Array) -> ForgetQuality:
    """Return the two-sided two-sample test of two sets of truth ratios, each (items,).

    The test sees ranks alone, which log x shares with x, and log x does not overflow. NaN where a ratio is NaN, and where a
    set has fewer than two items: the test would call any two of them alike.
    """
    if min(len(log_ratio), len(retrain_log_ratio)) < LEAST_ITEMS:
        return ForgetQuality(math.nan, math.nan)
    with warnings.catch_warnings():
        # Scipy's exact p-value rounds to above 1 for samples that hardly differ; it then falls back, silently here, and gives 1.
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
        test = ks_2samp(log_ratio, retrain_log_ratio)
    return ForgetQuality(float(test.pvalue), float(test.statistic))
