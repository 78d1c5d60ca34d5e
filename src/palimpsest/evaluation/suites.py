"""The kinds of suites: the module that runs each, imported alone, so that a change in one is nothing to the others."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import pyarrow as pa
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.data.rows import Lesson
    from palimpsest.models.settings import UsedSettings

MODULES = {"tofu": "tofu", "muse": "muse", "lm-eval": "lm_eval"}


@dataclass(frozen=True)
class Subject:
    """A model that is evaluated, what reads and writes its tokens, and how it is used."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    used: UsedSettings


@dataclass(frozen=True)
class Watched:
    """A suite that is run again and again: what it gives, in which table, and the rows on which the model is compared."""

    evaluate: Callable[[], list[dict[str, Any]]]
    table: str
    schema: pa.Schema
    compared: Mapping[str, Sequence[Lesson]]


class Suite(Protocol):
    """What the module of a kind of suite has."""

    def run(self, subject: Subject, suite: Any, split: Path, out: Path, scratch: Path) -> None:
        """Write what a model does on the sets of a split's folder into the folder `out`."""
        ...

    def watch(self, subject: Subject, suite: Any, split: Path) -> Watched:
        """Return the suite as a trajectory runs it, but for kinds that no trajectory has."""
        ...


def module_name(kind: str) -> str:
    """Return the module of a kind of suite."""
    return f"palimpsest.evaluation.{MODULES[kind]}"


def load_suite(kind: str) -> Suite:
    """Import the module of a kind of suite."""
    return cast(Suite, importlib.import_module(module_name(kind)))
