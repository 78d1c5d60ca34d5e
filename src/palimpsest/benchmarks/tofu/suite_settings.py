"""The settings of the TOFU suite."""

import math
from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Aim, Reading, Suite, Tokens
from palimpsest.settings import Count

# Questions about real authors and the world.
REAL_WORLD = 217
SetName = Annotated[str, Field(pattern="^(forget|retain|real_authors|world_facts|holdout)$")]


class TofuSuite(Suite):
    """The TOFU evaluation on the forget set, the retain set, real authors, world facts and, if there is one, a holdout set."""

    aims = (Aim("forget_quality", "forget quality"), Aim("model_utility", "model utility"))
    compares_with = ("original", "retrain", "other_retrains")
    judged = {"forget": "forget", "retain": "retain"}

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

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads: a question has seven answers of half an item each, and one prompt."""
        sets = {"forget": forget / item, "retain": (everything - forget) / item}
        items = REAL_WORLD + sum(min(number, self.limit(name) or math.inf) for name, number in sets.items())
        return Reading(items * item * 4, items * self.max_new_tokens)


SETTINGS = TofuSuite
