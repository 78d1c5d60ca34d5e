"""The formulas of TOFU (arXiv 2401.06121, Sec. 2.2; its official aggregation): pure functions on arrays.

The truth ratio x is kept as log x, so that nothing overflows.
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from scipy.stats import hmean, ks_2samp

from palimpsest.metrics.spread import Array, mean_share

# A Kolmogorov-Smirnov test calls any two samples of one item alike.
LEAST_ITEMS = 2


def log_truth_ratio(base: Array, perturbed: Array) -> Array:
    """Return log x = mean_k perturbed_k - base in nats, shape (items,) (Sec. 2.2.2).

    NaN where both sides are infinite, where a loss is NaN or below 0, and without wrong answers.

    `base` (items,) is the loss per token of the paraphrased answer, or of the answer itself for real authors and world
    facts; `perturbed` (items, perturbations) that of the wrong answers.
    """
    if not perturbed.shape[1]:
        return np.full(base.shape, np.nan)
    impossible = (base < 0) | (perturbed < 0).any(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(impossible, np.nan, perturbed.mean(axis=1) - base)


def truth_ratio(log_ratio: Array) -> Array:
    """Return x itself, shape (items,); infinite above e^709."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(log_ratio))


def forget_truth_ratio(log_ratio: Array) -> float:
    """Return mean min(x, 1/x), the form for the forget set: 1 where right and wrong answers are equally likely; NaN as above."""
    return mean_share(np.exp(-np.abs(log_ratio)))


def utility_truth_ratio(log_ratio: Array) -> float:
    """Return mean max(0, 1 - 1/x), the form for the sets of model utility: 1 where wrong answers are hopeless; NaN as above."""
    return mean_share(-np.expm1(-np.maximum(log_ratio, 0.0)))


def answer_probability(answer: Array) -> float:
    """Return mean exp(-loss) of losses per token (items,), for forget and retain sets (Sec. 2.2.1).

    NaN of no items, and where a loss is NaN or below 0.
    """
    with np.errstate(over="ignore"):
        return mean_share(np.exp(-answer))


def choice_probability(answer: Array, perturbed: Array) -> float:
    """Return mean p / (p + sum_k p_k), p = exp(-loss per token), for real authors and world facts (Sec. 2.2.1).

    `answer` (items,), `perturbed` (items, perturbations). In log space, so that a collapsed model whose probabilities are
    all below 1e-308 still has its shares. NaN where all losses of an item are infinite, where one is NaN or below 0, and without
    items or wrong answers: beside none of these any answer has a share of 1.
    """
    losses = np.column_stack([answer, perturbed])
    if not perturbed.size or (losses < 0).any():
        return math.nan
    with np.errstate(invalid="ignore"):
        return mean_share(softmax(-losses, axis=1)[:, 0])


class ForgetQuality(NamedTuple):
    """The p-value, which is the forget quality, and the statistic of the Kolmogorov-Smirnov test."""

    p_value: float
    statistic: float


def forget_quality(log_ratio: Array, retrain_log_ratio: Array) -> ForgetQuality:
    """Return the two-sided two-sample test of a model's truth ratios and Retrain's, each (items,) (Sec. 2.2.3).

    The test sees ranks alone, which log x shares with x, and log x does not overflow. NaN where a ratio is NaN, and where a
    set has fewer than `LEAST_ITEMS` items.
    """
    if min(len(log_ratio), len(retrain_log_ratio)) < LEAST_ITEMS:
        return ForgetQuality(math.nan, math.nan)
    with warnings.catch_warnings():
        # Scipy's exact p-value rounds to above 1 for samples that hardly differ; it then falls back, silently here, and gives 1.
        warnings.filterwarnings("ignore", message="ks_2samp: Exact calculation unsuccessful")
        test = ks_2samp(log_ratio, retrain_log_ratio)
    return ForgetQuality(float(test.pvalue), float(test.statistic))


def model_utility(parts: Sequence[float]) -> float:
    """Return the harmonic mean of the nine parts, each in [0, 1] (Sec. 2.2.1): 0 where one is 0; NaN where one is NaN or outside."""
    if not parts or not all(0 <= part <= 1 for part in parts):
        return math.nan
    smallest = min(parts)
    if smallest == 0:
        return 0.0
    # Scaled, because the reciprocal of a collapsed model's probability overflows; a part that then does adds nothing.
    with np.errstate(over="ignore"):
        return float(smallest * hmean(np.divide(parts, smallest)))
