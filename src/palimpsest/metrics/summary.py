"""The summary of OpenUnlearning (Dorna et al., 2506.12618, Sec. 5 and App. F): harmonic means of scores where higher is better.

Its authors computed it in a notebook that was not published; the paper says which scores each mean has. What it leaves open, and
what we take, is in docs/deviations.md.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy

from palimpsest.metrics.privacy import priv_leak


def harmonic_mean(values: Sequence[float]) -> float:
    """Return the harmonic mean: 0 if a value is 0, NaN for no values and if a value is negative or not finite."""
    if not values or not all(math.isfinite(value) and value >= 0 for value in values):
        return math.nan
    smallest = min(values)
    if smallest == 0:
        return 0.0
    # Scaled, because the reciprocal of a collapsed model's probability overflows; one that still overflows adds nothing.
    with np.errstate(over="ignore"):
        return float(smallest * scipy.stats.hmean(np.divide(values, smallest)))


def memorisation_score(extraction: float, memorised: float, paraphrased: float, truth_ratio: float) -> float:
    """Return the harmonic mean of one minus each: 1 if nothing of the forget set is remembered.

    The arguments, each in [0, 1], are extraction strength, exact memorisation, the probability of the paraphrased answer, and the
    mean p / (p + p_wrong) of the probabilities of the paraphrased and of the wrong answers.
    """
    return harmonic_mean([1 - part for part in (extraction, memorised, paraphrased, truth_ratio)])


def closeness(auc: float, retrain_auc: float) -> float:
    """Return 1 - |PrivLeak| / 100, at least 0: 1 if members are separated as well as with Retrain."""
    return max(0.0, 1 - abs(float(priv_leak(auc, retrain_auc))) / 100)


def privacy_score(aucs: Mapping[str, float], retrain_aucs: Mapping[str, float]) -> float:
    """Return the harmonic mean of the closeness of each membership attack's AUC to Retrain's AUC."""
    return harmonic_mean([closeness(auc, retrain_aucs[name]) for name, auc in aucs.items()])


def utility_score(utility: float, fluency: float, original_utility: float, original_fluency: float) -> float:
    """Return the harmonic mean of model utility and fluency as a share of Original's; 1 for Original.

    Fluency counts as a share of Original's, at most 1. NaN if Original has no utility or no fluency.
    """
    if original_fluency <= 0 or original_utility <= 0:
        return math.nan
    return harmonic_mean([utility, min(1.0, fluency / original_fluency)]) / harmonic_mean([original_utility, 1.0])


def aggregate_score(memorisation: float, privacy: float, utility: float) -> float:
    """Return the harmonic mean of the three scores."""
    return harmonic_mean([memorisation, privacy, utility])
