"""The settings of the suite of documents."""

from typing import Literal

from palimpsest.evaluation.suite import Aim, Reading, Suite, Tokens
from palimpsest.settings import Count

# About how many items a set has.
ITEMS = 100


class DocumentsSuite(Suite):
    """Recall, answers and probabilities of a model on your documents, and its distance from Retrain in log-probabilities."""

    aims = (
        Aim("distance", "distance from Retrain", distance="retrain_distance"),
        Aim("probability_retain", "probability of the retain set"),
    )
    compares_with = ("retrain",)
    judged = {"asked_forget": "forget", "asked_retain": "retain"}

    kind: Literal["documents"]
    """The evaluation on your own documents."""
    max_items: Count | None = None
    """Evaluate only N items of each set, evenly spaced: chunks of documents, or questions; null: all items."""
    prompt_tokens: Tokens = 32
    """Tokens of a chunk that a model is given, at most half of the chunk; it has to recite the following ones."""
    verbatim_tokens: Tokens = 64
    """Length in tokens of the generated and of the true continuation."""
    max_new_tokens: Tokens = 64
    """Maximum length of a generated answer in tokens."""

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads: all sets, of which holdout is as large as the forget set."""
        return Reading(forget + everything, (self.max_items or ITEMS) * (2 * self.verbatim_tokens + self.max_new_tokens))


SETTINGS = DocumentsSuite
