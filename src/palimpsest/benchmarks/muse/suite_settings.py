"""The settings of the MUSE suite."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Aim, Suite, Tokens
from palimpsest.settings import Count


class MuseSuite(Suite):
    """The MUSE evaluation: what a model recites, what it knows, and what its losses give away (arXiv 2407.06460, Sec. 3)."""

    aims = (Aim("privacy", "|PrivLeak|", distance="privleak"), Aim("knowmem_r", "KnowMem of the retain set"))
    retrains = ("retrain",)

    kind: Literal["muse"]
    """The MUSE evaluation."""
    max_items: Count | None = None
    """Items a set, the first ones; null: all."""
    verbatim_tokens: Tokens = 128
    """Tokens of a continuation, generated and true."""
    knowledge_tokens: Tokens = 32
    """Longest generated answer, in tokens."""
    min_k: Annotated[float, Field(ge=0.001, le=1)] = 0.4
    """Share of a text's tokens, the least likely ones, whose mean log-probability tells members from others."""


SETTINGS = MuseSuite
