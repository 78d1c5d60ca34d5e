"""The settings of LUME's suite."""

from typing import Literal

from palimpsest.evaluation.suite import Aim, Reading, Suite, Tokens
from palimpsest.settings import Count

# About how many items a set has.
ITEMS = 1000


class LumeSuite(Suite):
    """What a model recites and answers in each task, and membership (LUME, arXiv 2502.15097, Sec. 4)."""

    aims = (
        Aim("distance", "distance from Retrain", distance="retrain_distance"),
        Aim("knowledge_retain", "knowledge of the retain set"),
    )
    compares_with = ("retrain",)

    kind: Literal["lume"]
    """The evaluation of SemEval-2025, task 4."""
    max_items: Count | None = None
    """Evaluate only N items of each task and form in each set, evenly spaced, and N documents; null: all."""
    max_new_tokens: Tokens = 256
    """Maximum length of a generated text in tokens."""

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads: it generates for all items, and scores the forget set and the documents."""
        return Reading(2 * forget, 2 * min(ITEMS, 6 * (self.max_items or ITEMS)) * self.max_new_tokens)


SETTINGS = LumeSuite
