"""Read WMDP's corpora (Li et al. 2024, arXiv 2403.03218) from the Hub or from a folder.

Both corpora are training data: the official code retains on the test split of wikitext, which lm-eval may evaluate, and this is
not done here. The official rule for short texts is applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from palimpsest.benchmarks.wmdp.dataset import WmdpData
from palimpsest.data.columns import name_texts, read_columns
from palimpsest.data.overlap import Overlap, among, near_duplicates, settle, some_texts
from palimpsest.data.rows import Text
from palimpsest.errors import UserError

# Texts with at most this number of characters are dropped, as in the official code.
SHORT = 50


def compare(data: WmdpData, where: str, *, published: bool) -> WmdpData:
    """Return the corpora with the counts of their overlaps; messages about overlaps begin with `where`.

    Raises UserError for overlaps, unless the data are the published ones.
    """
    overlap = settle(where, find_faults(data), find_doubts(data), published=published)
    return replace(data, origin=data.origin | ({"overlap": overlap} if overlap else {}))


def find_faults(data: WmdpData) -> Iterator[Overlap]:
    """Yield overlaps that make WMDP's numbers wrong: texts to be forgotten and retained at the same time."""
    yield from some_texts("texts of retain that are in forget", data.retain, among(data.forget))


def find_doubts(data: WmdpData) -> Iterator[Overlap]:
    """Yield overlaps that may make WMDP's numbers wrong: near-duplicates."""
    yield from near_duplicates("texts of retain that are nearly those of forget", data.retain, data.forget)


def read_texts(folder: Path, name: str, most: int | None) -> list[Text]:
    """Return the first `most` texts of a set that are long enough; raises UserError for a missing set or one without texts."""

    def long_enough() -> Iterator[str]:
        for row in read_columns(folder, name, ("text",)):
            if len(row["text"]) > SHORT and row["text"].strip():
                yield row["text"]

    texts = name_texts(islice(long_enough(), most))
    if not texts:
        raise UserError(f"{folder}: no text of more than {SHORT} characters in {name}")
    return texts
