"""The format of a data set of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palimpsest.data.rows import Pair, Text, write_sets

Rows = Sequence[Text | Pair]


@dataclass(frozen=True)
class DocumentsData:
    """Documents, or questions with answers, to forget and to retain; no model learns `holdout`."""

    forget: Rows
    retain: Rows
    holdout: Rows
    """Documents like those of `forget`, to be separated from them; may be empty."""
    questions: Sequence[Pair]
    """Questions about `forget`, which no model learns; may be empty."""
    origin: dict[str, Any]

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each; the base of a tiny model learns `retain`."""
        sets = {name: rows for name, rows in vars(self).items() if name != "origin"}
        return write_sets(directory, {**sets, "base": self.retain})
