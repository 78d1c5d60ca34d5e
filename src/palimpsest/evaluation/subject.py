"""The model that a suite evaluates, and the interface of a suite's module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.data.rows import Lesson
    from palimpsest.models.settings import UsedSettings


@dataclass(frozen=True)
class Subject:
    """A model under evaluation, with its tokenizer and settings."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    used: UsedSettings


class SuiteModule(Protocol):
    """The interface of the module `suite` of a kind of suite."""

    SCHEMA: pa.Schema
    """The columns of the item table."""

    def measure(self, subject: Subject, suite: Any, data: Path, scratch: Path, **more: Any) -> list[dict[str, Any]]:
        """Evaluate a model with the suite's settings and return one row per item; `data` is the folder of the split.

        A suite whose settings name `datasets` of the Hub also gets the folder with them, under this name, and one with `models`
        gets these models, frozen, by their roles.
        """
        ...

    def compared(self, suite: Any, data: Path) -> Mapping[str, Sequence[Lesson]]:
        """Return, by set, the rows for the divergence from the start model; only for a suite with `aims`."""
        ...
