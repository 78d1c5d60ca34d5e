"""Reference log-probabilities, computed once for all methods, variants and epochs that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from torch import nn

from palimpsest.data.prompts import Encoded
from palimpsest.models.scoring import score
from palimpsest.progress import track

FILE = "references.parquet"


@dataclass(frozen=True)
class References:
    """Summed NLL of each forget answer, and of the other answers to each forget question, if any."""

    ids: list[str]
    nll: list[float]
    other_nll: list[list[float]]


def compute_references(
    model: nn.Module, ids: Sequence[str], forget: Sequence[Encoded], others: Sequence[Sequence[list[int]]], tokens_per_pass: int
) -> References:
    """Score each forget question once, with its answer and its other answers."""
    items = [Encoded(item.prompt, [*item.answers, *of]) for item, of in zip(forget, others, strict=True)]
    scores = list(track(score(model, items, tokens_per_pass), "reference", total=len(items)))
    return References(list(ids), [s.nll[0] for s in scores], [s.nll[1:] for s in scores])


def write_references(path: Path, references: References) -> None:
    """Write the reference log-probabilities as a parquet table with one row per forget item."""
    columns = {"id": references.ids, "nll": references.nll, "other_nll": references.other_nll}
    pq.write_table(pa.table(columns), path)


def read_references(path: Path) -> References:
    """Read the table of `write_references`."""
    columns = pq.read_table(path).to_pydict()
    return References(columns["id"], columns["nll"], columns["other_nll"])
