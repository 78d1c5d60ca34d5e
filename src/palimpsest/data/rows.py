"""The common schema of texts, questions and answers from all sources, as JSON lines."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from palimpsest.errors import UserError
from palimpsest.settings import Settings


class Question(Settings):
    """A question about an author; paraphrases and perturbed answers exist only for evaluated questions."""

    id: str
    author: int
    question: str
    answer: str
    paraphrased_question: str | None = None
    paraphrased_answer: str | None = None
    perturbed_answers: list[str] | None = None


class Fact(Settings):
    """A question outside the forget and retain sets (real authors, world facts), with the right and wrong answers."""

    id: str
    question: str
    answer: str
    perturbed_answers: list[str]
    options: list[str]


class Text(Settings):
    """A refusal, a document of a corpus, or any other single text."""

    id: str
    text: str


class Pair(Settings):
    """A question with its answer only."""

    id: str
    question: str
    answer: str


class Excerpt(Settings):
    """A text divided into a beginning, which a model is given, and its true continuation."""

    id: str
    prompt: str
    continuation: str


Row = TypeVar("Row", bound=Settings)
# Kinds of rows that a model can be trained on.
Lesson = Question | Fact | Pair | Text


def write_rows(path: Path, rows: Iterable[Settings]) -> None:
    """Write rows as JSON lines in UTF-8, with keys in the order of the schema."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row.model_dump(), ensure_ascii=False) + "\n")


def write_sets(directory: Path, sets: Mapping[str, Sequence[Settings]]) -> dict[str, int]:
    """Write one JSON-lines file per set and return the number of rows of each."""
    for name, rows in sets.items():
        write_rows(directory / f"{name}.jsonl", rows)
    return {name: len(rows) for name, rows in sets.items()}


def read_rows(path: Path, kind: type[Row]) -> Sequence[Row]:
    """Read the rows of a JSON-lines file; raises UserError that names file and line for an invalid row."""
    return _read(path, TypeAdapter(kind), kind.__name__)


def read_lessons(path: Path, most: int | None = None) -> Sequence[Lesson]:
    """Read the first rows to train on, or all; their kind follows from their fields. Raises UserError like `read_rows`."""
    return _read(path, TypeAdapter(Lesson), "text or question", most)


def _read(path: Path, kind: TypeAdapter[Row], name: str, most: int | None = None) -> list[Row]:
    rows = []
    # Split only at newlines: str.splitlines would also split at separators inside a text.
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(islice(file, most), start=1):
            try:
                rows.append(kind.validate_json(line))
            except ValidationError as error:
                raise UserError(f"{path}:{number}: not a {name}: {error.errors()[0]['msg']}") from None
    return rows
