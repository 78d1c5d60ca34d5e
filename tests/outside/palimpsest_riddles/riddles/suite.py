"""The suite: a table with one row a riddle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Pair, read_rows
from palimpsest.models.limits import check_items
from palimpsest.models.scoring import score

if TYPE_CHECKING:
    from palimpsest.evaluation.subject import Subject

    from .suite_settings import RiddleSuite

# The NLL of an answer is summed over its tokens, in nats.
SCHEMA = pa.schema([("set", pa.string()), ("id", pa.string()), ("nll", pa.float64()), ("tokens", pa.int64())])


def measure(subject: Subject, suite: RiddleSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Return the loss of every answer."""
    named = [(name, row) for name in ("forget", "retain") for row in read_rows(data / f"{name}.jsonl", Pair)]
    encoder = PromptEncoder(subject.tokenizer, subject.used.prompt)
    items = [encoder.encode(row.question, [row.answer]) for _, row in named]
    check_items(subject.model, [row.id for _, row in named], items)
    scores = score(subject.model, items)
    return [
        {"set": name, "id": row.id, "nll": each.nll[0], "tokens": each.tokens[0]}
        for (name, row), each in zip(named, scores, strict=True)
    ]
