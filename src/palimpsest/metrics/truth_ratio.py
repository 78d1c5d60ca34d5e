"""The truth ratio x of TOFU (arXiv 2401.06121, Sec. 2.2.2; its official aggregation), kept as log x so that nothing overflows."""

import numpy as np
from numpy.typing import NDArray

from palimpsest.metrics.spread import mean_share

Array = NDArray[np.float64]


def log_truth_ratio(base: Array, perturbed: Array) -> Array:
    """Return log x = mean_k perturbed_k - base in nats, shape (items,).

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
