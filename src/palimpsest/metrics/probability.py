"""The probability that a model gives to right answers (TOFU, arXiv 2401.06121, Sec. 2.2.1), a token's geometric mean."""

import math

import numpy as np
from scipy.special import softmax

from palimpsest.metrics.spread import mean_share
from palimpsest.metrics.truth_ratio import Array


def answer_probability(answer: Array) -> float:
    """Return mean exp(-loss) of losses per token (items,): for forget and retain sets.

    NaN of no items, and where a loss is NaN or below 0.
    """
    with np.errstate(over="ignore"):
        return mean_share(np.exp(-answer))


def choice_probability(answer: Array, perturbed: Array) -> float:
    """Return mean p / (p + sum_k p_k), p = exp(-loss per token): for real authors and world facts.

    `answer` (items,), `perturbed` (items, perturbations). In log space, so that a collapsed model whose probabilities are
    all below 1e-308 still has its shares. NaN where all losses of an item are infinite, where one is NaN or below 0, and without
    items or wrong answers: beside none of these any answer has a share of 1.
    """
    losses = np.column_stack([answer, perturbed])
    if not perturbed.size or (losses < 0).any():
        return math.nan
    with np.errstate(invalid="ignore"):
        return mean_share(softmax(-losses, axis=1)[:, 0])
