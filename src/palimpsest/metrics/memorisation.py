"""Verbatim memorisation of an answer, computed from its teacher-forced argmax hits."""

import math

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
# The formula and the source of metrics that are its mean.
EXTRACTION = "mean 1 - k/n, with n the tokens and k the shortest true beginning after which all other tokens are the likeliest"
EXTRACTION_SOURCE = "arXiv 2012.07805; open-unlearning has 1/n in place of 0"


def exact_memorisation(hits: Hits) -> float:
    """Return the fraction of hits, shape (tokens,), predicted from the true prefix (Tirumala et al., 2205.10770).

    NaN for an answer without tokens.
    """
    return float(np.mean(hits)) if len(hits) else math.nan


def extraction_strength(hits: Hits) -> float:
    """Return 1 - k/n, with k the shortest true prefix after which all n - k tokens are hits (Carlini et al., 2012.07805).

    1 if all n hits, shape (tokens,), are true, 0 if the last one is false (open-unlearning gives 1/n in this case). For one token
    it is 1 or 0. NaN for an answer without tokens.
    """
    if not len(hits):
        return math.nan
    misses = np.flatnonzero(~np.asarray(hits, dtype=bool))
    return float(1 - (misses[-1] + 1) / len(hits)) if misses.size else 1.0
