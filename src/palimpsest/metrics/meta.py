"""How far a metric itself can be trusted: whether it tells knowledge from its absence, and whether its ranking lasts."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from palimpsest.metrics.privacy import membership_auc


def faithfulness(knowing: Sequence[float], others: Sequence[float]) -> float:
    """Return the AUC of telling models that know the forget set, shape (models,), from models that never saw it.

    The greater of AUC and 1 - AUC, so that a metric may rise or fall with knowledge; 0.5 if it tells nothing
    (OpenUnlearning, arXiv 2506.12618, Sec. 5). NaN without models of a kind, or if a value is NaN.
    """
    auc = float(membership_auc(np.asarray(knowing, dtype=np.float64), np.asarray(others, dtype=np.float64)))
    return max(auc, 1 - auc)


def rank_agreement(before: Mapping[str, float], after: Mapping[str, float], goals: tuple[float, float]) -> float:
    """Return Spearman's correlation over methods between the distances from Retrain before and after attacks.

    `goals` are Retrain's own values before and after. NaN for fewer than four methods, or if all are alike.
    """
    methods = sorted(before.keys() & after.keys())
    distances = [[abs(of[method] - goal) for method in methods] for of, goal in zip((before, after), goals, strict=True)]
    if len(methods) < 4 or any(len({*each}) < 2 for each in distances):
        return math.nan
    return float(spearmanr(*distances).statistic)
