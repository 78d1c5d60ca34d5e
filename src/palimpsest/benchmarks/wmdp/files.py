"""WMDP's corpora (Li et al. 2024, arXiv 2403.03218), from the hub or from a folder.

Both come from the corpora made for training: the official code retains on the test split of wikitext, which lm-eval may
ask about, and that is not done here. Its rule on short texts is kept.
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

# Texts of so many characters or fewer are dropped, as in the official code.
SHORT = 50


def compare(data: WmdpData, where: str, *, published: bool) -> WmdpData:
    """Return the corpora with the counts of what they share; `where` is said of that.

    Raises UserError for what they must not share, unless the data are as published.
    """
    overlap = settle(where, find_faults(data), find_doubts(data), published=published)
    return replace(data, origin=data.origin | ({"overlap": overlap} if overlap else {}))


def find_faults(data: WmdpData) -> Iterator[Overlap]:
    """Yield what makes the numbers of WMDP wrong: texts to be forgotten and retained at once."""
    yield from some_texts("texts of retain that are in forget", data.retain, among(data.forget))


def find_doubts(data: WmdpData) -> Iterator[Overlap]:
    """Yield what may make the numbers of WMDP wrong: texts that are nearly the same."""
    yield from near_duplicates("texts of retain that are nearly those of forget", data.retain, data.forget)


def read_texts(folder: Path, name: str, most: int | None) -> list[Text]:
    """Return the texts of a set that are long enough, the first ones; raises UserError for a set that is missing or has none."""

    def long_enough() -> Iterator[str]:
        for row in read_columns(folder, name, ("text",)):
            if len(row["text"]) > SHORT and row["text"].strip():
                yield row["text"]

    texts = name_texts(islice(long_enough(), most))
    if not texts:
        raise UserError(f"{folder}: no text of more than {SHORT} characters in {name}")
    return texts
