"""The settings of the sampling suite."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.evaluation.suite import Reading, Suite, Tokens
from palimpsest.settings import Count, Seed


class SamplingSuite(Suite):
    """Sample several answers to each forget question: leak@k is what the best of k of them gives away (arXiv 2511.04934)."""

    kind: Literal["sampling"]
    """Several sampled answers to each forget question."""
    samples: Annotated[int, Field(ge=1, le=1024)] = 16
    """Answers per question. leak@k is reported for every power of 2 up to this number."""
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    """Logits are divided by it before an answer is sampled."""
    seed: Seed = 0
    """Seed of the samples: all models are sampled with the same random numbers."""
    max_items: Count | None = None
    """Ask only the first N questions of the forget set; null: all."""
    max_new_tokens: Tokens = 200
    """Maximum length of a generated answer in tokens."""

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads and generates."""
        asked = min(forget / item, self.max_items or forget) * self.samples
        return Reading(asked * item, asked * self.max_new_tokens)


SETTINGS = SamplingSuite
