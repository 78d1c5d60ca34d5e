"""What an evaluation suite runs."""

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from palimpsest.settings import Settings
from palimpsest.training.settings import Count

PackageName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Requirement = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$")]
_PACKAGE = re.compile(r"\{package:([^}]*)\}")
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
    """Tasks of lm-eval: names of stock tasks, or whole configs of tasks and groups that read local data."""

    kind: Literal["lm-eval"]
    """Tasks of the lm-evaluation-harness."""
    tasks: Annotated[list[str | dict[str, Any]], Field(min_length=1)]
    """Names of stock tasks, or whole configs of tasks or groups; {data} in a text is the folder of the split,
    {package:NAME} that of an installed package."""
    packages: dict[PackageName, Requirement] = {}
    """Those packages by their import names, each with what pip installs to get it, `distribution==version`."""
    limit: Count | None = None
    """Questions a task, the first ones; null: all."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            text = json.dumps(self.tasks, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"tasks: a task is what JSON can say: {error}") from None
        unnamed = set(_PACKAGE.findall(text)) - set(self.packages)
        if unnamed:
            raise ValueError(f"tasks: {{package:{min(unnamed)}}}: packages names no such package")
        return self


SuiteSettings = Annotated[TofuSuite | MuseSuite | LmEvalSuite, Field(discriminator="kind")]
