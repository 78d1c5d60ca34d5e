"""What a model leaks if it is asked several times: leak@k, from samples of its answers (arXiv 2511.04934)."""

import math

import numpy as np

from palimpsest.metrics.intervals import LEVEL, Interval
from palimpsest.metrics.spread import Array


def expected_maximum(scores: Array, k: int) -> Array:
    """Return the unbiased estimate of the expected maximum of k scores, (questions,), from n samples, shape (questions, n).

    It is the mean maximum over all subsets of k samples: the sum over j of C(j - 1, k - 1) / C(n, k) times the j-th smallest
    score (arXiv 2511.04934). NaN if n < k.
    """
    questions, n = scores.shape
    if n < k:
        return np.full(questions, math.nan)
    weights = np.array([math.comb(rank - 1, k - 1) / math.comb(n, k) for rank in range(k, n + 1)])
    return np.asarray(np.sort(scores, axis=1)[:, k - 1 :] @ weights)


def leak_at(scores: Array, k: int) -> float:
    """Return leak@k: the mean over questions of the expected maximum of k scores; NaN if there are fewer samples."""
    return float(expected_maximum(scores, k).mean())


def leak_interval(scores: Array, k: int) -> Interval:
    """Return the 95 % interval of leak@k for scores from 0 to 1 of any distribution (Hoeffding, 1963, Sec. 5a).

    It is about these questions; what varies is the samples. q questions with n samples give m = q floor(n / k) independent
    maxima, so the estimate is within sqrt(log(2 / 0.05) / (2 m)) of its expectation with a probability of at least 0.95.
    """
    leak, maxima = leak_at(scores, k), len(scores) * (scores.shape[1] // k)
    if math.isnan(leak):
        return Interval(math.nan, math.nan)
    reach = math.sqrt(math.log(2 / (1 - LEVEL)) / (2 * maxima))
    return Interval(max(leak - reach, 0.0), min(leak + reach, 1.0))
