"""The settings of the MUSE suite."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Aim, Reading, Suite, Tokens
from palimpsest.settings import Count

# Items whose continuation or answer is generated.
RECITED, ASKED = 100, 200
# As in the official code.
MIN_K = 0.4
# The metric with a published number of Retrain.
AUC = "auc_min_k"


class MuseSuite(Suite):
    """The MUSE evaluation: verbatim recall, knowledge, and privacy leakage (arXiv 2407.06460, Sec. 3)."""

    aims = (Aim("privacy", "|PrivLeak|", distance="privleak"), Aim("knowmem_r", "KnowMem of the retain set"))
    compares_with = ("retrain",)
    scored = ("min_k",)
    judged = {"knowledge_forget": "forget", "knowledge_retain": "retain"}

    kind: Literal["muse"]
    """The MUSE evaluation."""
    max_items: Count | None = None
    """Evaluate only the first N items of each set; null: all items."""
    verbatim_tokens: Tokens = 128
    """Length in tokens of the generated and of the true continuation."""
    knowledge_tokens: Tokens = 32
    """Maximum length of a generated answer in tokens."""
    min_k: Annotated[float, Field(ge=0.001, le=1)] = MIN_K
    """Min-K: the fraction of a text's tokens, the least likely ones, whose mean log-probability separates members from
    non-members."""

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads: members, non-members and continuations are as long as the forget set."""
        return Reading(3 * forget, RECITED * self.verbatim_tokens + ASKED * self.knowledge_tokens)


SETTINGS = MuseSuite
