"""Alternatives to the forget answers: made-up answers to the forget questions, equally many to each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from palimpsest.errors import UserError

FILE = "alternatives.parquet"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("sample", pa.int64()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("generation", pa.string()),
    ]
)


def write_alternatives(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a table with one row per forget question and alternative, in the order of the questions."""
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)


def read_alternatives(path: Path, ids: Sequence[str]) -> list[list[str]]:
    """Return the alternatives to the answer of each forget item; raises UserError if they were made for other items."""
    found: dict[str, list[str]] = {}
    for row in pq.read_table(path, columns=["id", "generation"]).to_pylist():
        found.setdefault(row["id"], []).append(row["generation"])
    if [*found] != [*ids]:
        raise UserError(f"{path}: made for other forget items than the split has")
    return [*found.values()]
