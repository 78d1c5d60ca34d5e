"""A model that a suite is run on, and the module that runs the suites of one kind."""

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

TOKENS_PER_PASS = 512


@dataclass(frozen=True)
class Subject:
    """A model that is evaluated, its tokenizer, and how the model is used."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    used: UsedSettings


class SuiteModule(Protocol):
    """The module `suite` of a kind."""

    SCHEMA: pa.Schema
    """The columns of its table of items."""

    def measure(self, subject: Subject, suite: Any, data: Path, scratch: Path) -> list[dict[str, Any]]:
        """Run the suite, with its settings, on a model; return one row per item. `data` is the folder of the split."""
        ...

    def compared(self, suite: Any, data: Path) -> Mapping[str, Sequence[Lesson]]:
        """Return by set the rows on which a watched model is compared with its start; only for a suite with `aims`."""
        ...
