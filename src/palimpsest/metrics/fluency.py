"""Fluency of generated texts: the entropy of their word pairs and triples, which falls where a text repeats itself.

OpenUnlearning asks a classifier for gibberish instead, whose weights a study would have to download.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

# The lengths of the word sequences, with their weights.
WEIGHTS = {2: 2 / 3, 3: 4 / 3}


def n_gram_entropy(words: Sequence[str]) -> float:
    """Return the weighted mean entropy of a text's word pairs and triples, in bits, from its words.

    0 for a text of at most two words, and for one word again and again (ROME, Meng et al., 2202.05262, App. B; RWKU, Jin et al.,
    2406.10890).
    """
    return float(np.mean([weight * _entropy(words, length) for length, weight in WEIGHTS.items()]))


def _entropy(words: Sequence[str], length: int) -> float:
    counts = Counter(tuple(words[start : start + length]) for start in range(len(words) - length + 1))
    shares = np.array(list(counts.values())) / max(1, counts.total())
    return float(-(shares * np.log2(shares)).sum()) if counts else 0.0
