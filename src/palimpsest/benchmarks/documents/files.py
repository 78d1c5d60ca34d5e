"""Read documents, or questions with answers, from a folder of the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from palimpsest.benchmarks.documents.dataset import DocumentsData
from palimpsest.benchmarks.documents.overlap import find_doubts, find_faults
from palimpsest.data.overlap import settle
from palimpsest.data.rows import Pair, Text
from palimpsest.errors import UserError, first_line
from palimpsest.lines import find_half, read_objects, read_text
from palimpsest.provenance.canonical import sha256_file

FORGET, RETAIN, HOLDOUT, QUESTIONS = "forget", "retain", "holdout", "questions.jsonl"
QUESTION, ANSWER = "question", "answer"
READ = ".txt, .md, .pdf and .jsonl"


def list_files(folder: Path) -> list[Path]:
    """Return all files of a set in order, in subfolders too, except hidden ones."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that is read, as far as the files exist."""
    files = [*chain.from_iterable(list_files(folder / name) for name in (FORGET, RETAIN, HOLDOUT)), folder / QUESTIONS]
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files if path.is_file()}


def read_documents(folder: Path, column: str) -> DocumentsData:
    """Return the documents of a folder, with the counts of doubtful overlaps.

    Raises UserError for a missing folder, a file that cannot be read, documents mixed with questions, and sets that overlap.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; source.path must name a folder with {FORGET}/ and {RETAIN}/")
    if missing := next((name for name in (FORGET, RETAIN) if not (folder / name).is_dir()), None):
        raise UserError(f"{folder / missing}: there is no such folder; required: {FORGET}/ and {RETAIN}/, each with {READ} files")
    sets = {name: _read_set(folder, name, column) for name in (FORGET, RETAIN, HOLDOUT) if (folder / name).is_dir()}
    rows = list(chain.from_iterable(sets.values()))
    if other := next((row for row in rows if type(row) is not type(rows[0])), None):
        one, two = (f"{row.id} is {'a text' if isinstance(row, Text) else 'a question'}" for row in (rows[0], other))
        raise UserError(f"{folder}: {one}, but {two}: use either texts or questions with answers")
    path = folder / QUESTIONS
    questions = [_read_pair(path, number, row) for number, row in read_objects(path)] if path.exists() else []
    origin = {"licence": "not stated", "files": hash_files(folder)}
    data = DocumentsData(sets[FORGET], sets[RETAIN], sets.get(HOLDOUT, []), questions, origin)
    overlap = settle(str(folder), find_faults(data), find_doubts(data), published=False)
    return replace(data, origin=origin | ({"overlap": overlap} if overlap else {}))


def _read_set(folder: Path, name: str, column: str) -> list[Text | Pair]:
    rows = [row for path in list_files(folder / name) for row in _read_file(path, path.relative_to(folder).as_posix(), column)]
    if not rows:
        raise UserError(f"{folder / name}: no file to read; allowed are {READ}")
    return rows


def _read_file(path: Path, name: str, column: str) -> Iterator[Text | Pair]:
    """Yield the rows of a file, which are named after it."""
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        number = 0
        for number, row in read_objects(path):
            if column in row:
                yield Text(id=f"{name}:{number}", text=_read_field(path, number, row, column))
            elif QUESTION in row:
                yield _read_pair(path, number, row).model_copy(update={"id": f"{name}:{number}"})
            else:
                raise UserError(
                    f"{path}:{number}: no column {column}, and no {QUESTION} with {ANSWER}, only {', '.join(row)};"
                    " source.column names the column with the text"
                )
        if not number:
            raise UserError(f"{path}: empty")
    elif suffix in (".txt", ".md", ".pdf"):
        text = _read_pdf(path) if suffix == ".pdf" else read_text(path)
        if not text.strip():
            raise UserError(f"{path}: no text; scanned pages must be recognised first" if suffix == ".pdf" else f"{path}: empty")
        yield Text(id=name, text=text)
    else:
        raise UserError(f"{path}: not read: allowed are {READ}; convert the file, or remove it")


def _read_pair(path: Path, number: int, row: Mapping[str, Any]) -> Pair:
    question, answer = (_read_field(path, number, row, column) for column in (QUESTION, ANSWER))
    return Pair(id=f"{path.name}:{number}", question=question, answer=answer)


def _read_field(path: Path, number: int, row: Mapping[str, Any], column: str) -> str:
    if column not in row:
        raise UserError(f"{path}:{number}: no column {column}; required: {QUESTION} and {ANSWER}")
    value = row[column]
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{path}:{number}: column {column} is {'blank' if isinstance(value, str) else 'no text'}")
    return value


def _read_pdf(path: Path) -> str:
    try:
        from pypdf import PdfReader
    except ImportError:
        raise UserError(f"{path}: PDF files need the package pypdf: pip install 'palimpsest[pdf]'") from None
    try:
        text = "\n".join(page.extract_text() for page in PdfReader(path).pages)
    except Exception as error:  # a broken file can raise any error
        raise UserError(f"{path}: not a readable PDF: {first_line(error)}") from None
    if half := find_half(text):
        raise UserError(f"{path}: not a readable PDF: its text has {half}, half of a surrogate pair")
    return text
