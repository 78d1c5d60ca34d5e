"""The settings of the TOFU suite."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Aim, Suite, Tokens
from palimpsest.settings import Count

SetName = Annotated[str, Field(pattern="^(forget|retain|real_authors|world_facts)$")]


class TofuSuite(Suite):
    """The TOFU evaluation: forget, retain, real authors and world facts; `max_items` a set (the official logs cap at 300)."""

    aims = (Aim("forget_quality", "forget quality"), Aim("model_utility", "model utility"))
    retrains = ("retrain", "other_retrains")

    kind: Literal["tofu"]
    """The TOFU evaluation."""
    max_items: Count | dict[SetName, Count] | None = None
    """Questions a set, the first ones: one number for all sets, or a number a set; without one, all (official logs: 300)."""
    max_new_tokens: Tokens = 200
    """Longest generated answer, in tokens."""

    def limit(self, name: str) -> int | None:
        """Return how many questions of a set are asked at most."""
        return self.max_items.get(name) if isinstance(self.max_items, dict) else self.max_items


SETTINGS = TofuSuite
