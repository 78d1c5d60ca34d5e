"""The format of WMDP data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Fact, Pair, Text, write_sets


@dataclass(frozen=True)
class WmdpData:
    """A forget corpus, a retain corpus, and multiple-choice questions (WMDP, arXiv 2403.03218).

    `original` is the training set of a fine-tuned original. The questions are asked by lm-eval tasks with local data
    (`{data}/hazards.jsonl`, `{data}/general.jsonl`).
    """

    forget: list[Text]
    retain: list[Text]
    origin: dict[str, Any]
    hazards: list[Fact] = field(default_factory=list)
    """Questions about the knowledge to forget."""
    general: list[Fact] = field(default_factory=list)
    """Questions about the knowledge to retain."""
    original: Sequence[Pair | Text] = ()
    base: Sequence[Pair | Text] = ()
    """The corpus for the base of a tiny model."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""
        return write_sets(directory, {name: rows for name, rows in vars(self).items() if name != "origin"})


class WmdpSource(Source):
    """A source of corpora in WMDP's format."""

    sets: ClassVar[tuple[str, ...]] = ("forget", "retain")
