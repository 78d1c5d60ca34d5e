"""The settings of the TOFU suite."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Aim, Suite, Tokens
from palimpsest.settings import Count

SetName = Annotated[str, Field(pattern="^(forget|retain|real_authors|world_facts)$")]


class TofuSuite(Suite):
    """The TOFU evaluation on the forget set, the retain set, real authors and world facts."""

    aims = (Aim("forget_quality", "forget quality"), Aim("model_utility", "model utility"))
    retrains = ("retrain", "other_retrains")

    kind: Literal["tofu"]
    """The TOFU evaluation."""
    max_items: Count | dict[SetName, Count] | None = None
    """Evaluate only the first N questions of each set: one N, or an N per set; null: all questions (the official logs use
    300)."""
    max_new_tokens: Tokens = 200
    """Maximum length of a generated answer in tokens."""

    def limit(self, name: str) -> int | None:
        """Return the maximum number of questions of a set; None for all."""
        return self.max_items.get(name) if isinstance(self.max_items, dict) else self.max_items


SETTINGS = TofuSuite
