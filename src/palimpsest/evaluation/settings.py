"""What an evaluation suite runs."""

from typing import Annotated, Any, Literal

from pydantic import Field

from palimpsest.settings import Settings
from palimpsest.training.settings import Count

SetName = Annotated[str, Field(pattern="^(forget|retain|real_authors|world_facts)$")]


class TofuSuite(Settings):
    """The TOFU evaluation: forget, retain, real authors and world facts; `max_items` a set (the official logs cap at 300)."""

    kind: Literal["tofu"]
    """The TOFU evaluation."""
    max_items: Count | dict[SetName, Count] | None = None
    """Questions a set, the first ones: one number for all sets, or a number a set; without one, all (official logs: 300)."""
    max_new_tokens: Count = 200
    """Longest generated answer, in tokens."""

    def limit(self, name: str) -> int | None:
        """Return how many questions of a set are asked at most."""
        return self.max_items.get(name) if isinstance(self.max_items, dict) else self.max_items


class MuseSuite(Settings):
    """The MUSE evaluation: what a model recites, what it knows, and what its losses give away (arXiv 2407.06460, Sec. 3)."""

    kind: Literal["muse"]
    """The MUSE evaluation."""
    max_items: Count | None = None
    """Items a set, the first ones; null: all."""
    verbatim_tokens: Count = 128
    """Tokens of a continuation, generated and true."""
    knowledge_tokens: Count = 32
    """Longest generated answer, in tokens."""
    min_k: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of a text's tokens, the least likely ones, whose mean log-probability tells members from others."""


class LmEvalSuite(Settings):
    """Tasks of lm-eval: names of stock tasks, or whole task configs, where {data} in a path is the data artefact."""

    kind: Literal["lm-eval"]
    """Tasks of the lm-evaluation-harness."""
    tasks: Annotated[list[str | dict[str, Any]], Field(min_length=1)]
    """Names of stock tasks, or whole task configs; {data} in a text is the folder of the split."""
    limit: Count | None = None
    """Questions a task, the first ones; null: all."""


SuiteSettings = Annotated[TofuSuite | MuseSuite | LmEvalSuite, Field(discriminator="kind")]
