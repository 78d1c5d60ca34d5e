"""TOFU's formulas (arXiv 2401.06121, Sec. 2.2, with the official aggregation) as pure functions on arrays.

The truth ratio x is stored as log x to avoid overflow.
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from palimpsest.metrics.spread import Array, mean_share
from palimpsest.metrics.summary import harmonic_mean

# A Kolmogorov-Smirnov test cannot distinguish samples of one item.
LEAST_ITEMS = 2


def log_truth_ratio(base: Array, perturbed: Array) -> Array:
    """Return log x = mean_k perturbed_k - base in nats, shape (items,) (Sec. 2.2.2).

    NaN if both sides are infinite, if a loss is NaN or below 0, and without wrong answers.

    `base`, shape (items,), is the loss per token of the paraphrased answer, or of the answer itself for real authors and world
    facts; `perturbed`, shape (items, perturbations), is the loss per token of the wrong answers.
    """
    if not perturbed.shape[1]:
        return np.full(base.shape, np.nan)
    impossible = (base < 0) | (perturbed < 0).any(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(impossible, np.nan, perturbed.mean(axis=1) - base)


def truth_ratio(log_ratio: Array) -> Array:
    """Return the truth ratio x, shape (items,); infinite above e^709."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(log_ratio))


def forget_truth_ratio(log_ratio: Array) -> float:
    """Return mean min(x, 1/x), for the forget set: 1 if right and wrong answers are equally likely; NaN as in log_truth_ratio."""
    return mean_share(np.exp(-np.abs(log_ratio)))


def utility_truth_ratio(log_ratio: Array) -> float:
    """Return mean max(0, 1 - 1/x), for model utility: 1 if wrong answers have probability 0; NaN as in `log_truth_ratio`."""
    return mean_share(-np.expm1(-np.maximum(log_ratio, 0.0)))


def answer_probability(answer: Array) -> float:
    """Return mean exp(-loss) of losses per token, shape (items,), for the forget and retain sets (Sec. 2.2.1).

    NaN without items, and if a loss is NaN or below 0.
    """
    with np.errstate(over="ignore"):
        return mean_share(np.exp(-answer))


def choice_probability(answer: Array, perturbed: Array) -> float:
    """Return mean p / (p + sum_k p_k), p = exp(-loss per token), for real authors and world facts (Sec. 2.2.1).

    Shapes: `answer` (items,), `perturbed` (items, perturbations). Computed in log space, so that the result is defined for a
    collapsed model with all probabilities below 1e-308. NaN if all losses of an item are infinite, if a loss is NaN or below 0,
    and without items or wrong answers.
    """
    losses = np.column_stack([answer, perturbed])
    if not perturbed.size or (losses < 0).any():
        return math.nan
    with np.errstate(invalid="ignore"):
        return mean_share(scipy.special.softmax(-losses, axis=1)[:, 0])


class ForgetQuality(NamedTuple):
    """The p-value of the Kolmogorov-Smirnov test, which is the forget quality, and its statistic."""

    p_value: float
    statistic: float


def forget_quality(log_ratio: Array, retrain_log_ratio: Array) -> ForgetQuality:
    """Return the two-sided two-sample test of a model's and Retrain's log truth ratios, each (items,) (Sec. 2.2.3).

    The test depends only on ranks, which are the same for log x and x. NaN if a ratio is NaN, and if a set has fewer than
    `LEAST_ITEMS` items.
    """
    if min(len(log_ratio), len(retrain_log_ratio)) < LEAST_ITEMS:
        return ForgetQuality(math.nan, math.nan)
    with warnings.catch_warnings():
        # For nearly equal samples, scipy's exact p-value rounds to above 1; scipy then falls back (silenced here) and gives 1.
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
        test = scipy.stats.ks_2samp(log_ratio, retrain_log_ratio)
    return ForgetQuality(float(test.pvalue), float(test.statistic))


def truth_ratio_distance(log_ratio: Array, retrain_log_ratio: Array) -> float:
    """Return the mean of |log x - log x of Retrain| over the same questions, each (items,), in nats.

    Unlike forget quality, it does not let questions on either side of Retrain cancel. NaN without items, or if a ratio is NaN.
    """
    if not len(log_ratio):
        return math.nan
    with np.errstate(invalid="ignore"):
        return float(np.abs(log_ratio - retrain_log_ratio).mean())


def model_utility(parts: Sequence[float]) -> float:
    """Return the harmonic mean of the nine parts, each in [0, 1] (Sec. 2.2.1): 0 if a part is 0, NaN if a part is outside."""
    return harmonic_mean(parts) if all(0 <= part <= 1 for part in parts) else math.nan
