"""The settings of the MUSE suite."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Aim, Suite, Tokens
from palimpsest.settings import Count


class MuseSuite(Suite):
    """The MUSE evaluation: verbatim recall, knowledge, and privacy leakage (arXiv 2407.06460, Sec. 3)."""

    aims = (Aim("privacy", "|PrivLeak|", distance="privleak"), Aim("knowmem_r", "KnowMem of the retain set"))
    retrains = ("retrain",)

    kind: Literal["muse"]
    """The MUSE evaluation."""
    max_items: Count | None = None
    """Evaluate only the first N items of each set; null: all items."""
    verbatim_tokens: Tokens = 128
    """Length in tokens of the generated and of the true continuation."""
    knowledge_tokens: Tokens = 32
    """Maximum length of a generated answer in tokens."""
    min_k: Annotated[float, Field(ge=0.001, le=1)] = 0.4
    """Min-K: the fraction of a text's tokens, the least likely ones, whose mean log-probability separates members from
    non-members."""


SETTINGS = MuseSuite
