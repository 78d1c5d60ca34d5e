"""The columns of an item table that follow from its texts and the losses of its tokens, without a model.

The stage `scores` computes them each time, so that an edit of ROUGE evaluates no model again. `rouge_score` is imported only
where texts are compared.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from palimpsest.evaluation.items import ROUGE_WORDS, derived
from palimpsest.metrics.memorisation import exact_memorisation, extraction_strength
from palimpsest.metrics.privacy import min_k_loss

# The column with the ROUGE-L recall of a generated text.
RECALL = "rouge_l_recall"


def with_rouge(table: pd.DataFrame, results: Sequence[str], compute: Callable[[str, str, str], Sequence[float]]) -> pd.DataFrame:
    """Return a table with the ROUGE of each generated text, and which words it compares (`metrics.rouge`).

    `compute` returns `results` from the set of an item, the generated text and the right answer.
    """

    def compare(name: str, generation: str, answer: str) -> Sequence[object]:
        from palimpsest.metrics.rouge import words_for

        return [words_for(answer), *compute(name, generation, answer)]

    return derived(table, ["set", "generation", "answer"], [ROUGE_WORDS, *results], compare)


def with_recall(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the ROUGE-L recall of each generated text, in the column `RECALL`."""

    def compute(name: str, generation: str, answer: str) -> list[float]:
        from palimpsest.metrics.rouge import rouge_recalls

        return [rouge_recalls(generation, answer).rouge_l]

    return with_rouge(table, [RECALL], compute)


def with_memorisation(table: pd.DataFrame, hits: str) -> pd.DataFrame:
    """Return a table with exact memorisation and extraction strength, from the column with the hits of each answer."""
    of_hits = [exact_memorisation, extraction_strength]
    names = ["exact_memorisation", "extraction_strength"]
    return derived(table, [hits], names, lambda given: [compute(np.asarray(given, dtype=bool)) for compute in of_hits])


def with_min_k(table: pd.DataFrame, losses: str, share: float) -> pd.DataFrame:
    """Return a table with the Min-K loss of each scored text, from the column with the losses of its tokens."""
    return derived(table, [losses], ["min_k_loss"], lambda given: [min_k_loss(given, share)])
