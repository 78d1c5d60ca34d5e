"""WMDP's shape of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Fact, Pair, Text, write_sets


@dataclass(frozen=True)
class WmdpData:
    """A corpus to forget, one to retain, and multiple-choice questions (WMDP, arXiv 2403.03218).

    `original` is what an original learns first, where the base does not know it; questions of one's own are asked by tasks of
    lm-eval with local data (`{data}/hazards.jsonl`, `{data}/general.jsonl`).
    """

    forget: list[Text]
    retain: list[Text]
    origin: dict[str, Any]
    hazards: list[Fact] = field(default_factory=list)
    """Questions on what is to be forgotten."""
    general: list[Fact] = field(default_factory=list)
    """Questions on what is to stay."""
    original: Sequence[Pair | Text] = ()
    base: Sequence[Pair | Text] = ()
    """What the base of a tiny model learns."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""
        return write_sets(directory, {name: rows for name, rows in vars(self).items() if name != "origin"})


class WmdpSource(Source):
    """Where corpora of WMDP's shape come from."""

    sets: ClassVar[tuple[str, ...]] = ("forget", "retain")
