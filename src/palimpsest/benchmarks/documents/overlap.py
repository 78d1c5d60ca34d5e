"""Overlaps between the sets of documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from palimpsest.benchmarks.documents.dataset import DocumentsData, Rows
from palimpsest.data.overlap import Overlap, near_duplicates, normal, some
from palimpsest.data.rows import Text


def find_faults(data: DocumentsData) -> Iterator[Overlap]:
    """Yield documents or questions that are in two sets: Retrain would learn them, or holdout would not be unknown."""
    for name, rows, other, others in (
        ("retain", data.retain, "forget", data.forget),
        ("holdout", data.holdout, "forget", data.forget),
        ("holdout", data.holdout, "retain", data.retain),
    ):
        known = {normal(text) for text in _texts(others)}
        said = f"{name}/ has what {other}/ has too"
        yield from some(said, (text for text in _texts(rows) if normal(text) in known))


def find_doubts(data: DocumentsData) -> Iterator[Overlap]:
    """Yield documents that quote a document of forget/, and questions that retain/ answers too."""
    forget = [row for row in data.forget if isinstance(row, Text)]
    for name, rows in (("retain", data.retain), ("holdout", data.holdout)):
        texts = [row for row in rows if isinstance(row, Text)]
        yield from near_duplicates(f"documents of {name}/ that quote forget/", texts, forget)
    retained = {normal(text) for text in _texts(data.retain)}
    asked = (row.question for row in data.questions if normal(row.question) in retained)
    yield from some("questions of questions.jsonl that retain/ answers", asked)


def _texts(rows: Rows) -> Iterable[str]:
    """Return what tells rows apart: the text, or the question."""
    return (row.text if isinstance(row, Text) else row.question for row in rows)
