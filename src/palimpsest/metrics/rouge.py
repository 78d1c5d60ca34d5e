"""ROUGE from the `rouge_score` package: recall with its Porter stemmer as TOFU takes it, ROUGE-L F without as MUSE does."""

from typing import NamedTuple

from rouge_score.rouge_scorer import RougeScorer

# One for all calls: making the stemmer costs more than a score.
_SCORER = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
_PLAIN = RougeScorer(["rougeL"], use_stemmer=False)


class RougeRecalls(NamedTuple):
    """Recall by words and by the longest common subsequence, each in [0, 1]."""

    rouge_1: float
    rouge_l: float


def rouge_recalls(generation: str, answer: str) -> RougeRecalls:
    """Return how much of the answer the generation recalls; 0 where either has no word."""
    scores = _SCORER.score(answer, generation)
    return RougeRecalls(float(scores["rouge1"].recall), float(scores["rougeL"].recall))


def rouge_l_f(generation: str, answer: str) -> float:
    """Return the F measure of the longest common subsequence, in [0, 1]; 0 where either has no word (MUSE, Sec. 3)."""
    return float(_PLAIN.score(answer, generation)["rougeL"].fmeasure)
