"""TOFU (Maini et al. 2024, arXiv 2401.06121) from its published JSON-lines files, in the one schema."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palimpsest.data.dataset import Dataset
from palimpsest.data.refusals import refusals
from palimpsest.data.rows import Fact, Question, Row, Text
from palimpsest.data.settings import TofuSource
from palimpsest.errors import UserError
from palimpsest.provenance.canonical import sha256_file

AUTHORS = 200
QUESTIONS = 20
# Of a question that is about none of them.
NO_AUTHOR = -1
_PAIR = ("question", "answer")
_PERTURBED = (*_PAIR, "paraphrased_question", "paraphrased_answer", "perturbed_answer")
_OPTIONS = ("option1", "option2", "option3", "option4")
# Every file that is read: how many rows were published, and the fields of each.
FILES: dict[str, tuple[int, tuple[str, ...]]] = {
    "full.json": (AUTHORS * QUESTIONS, _PAIR),
    "retain_perturbed.json": (400, _PERTURBED),
    "forget10_perturbed.json": (400, _PERTURBED),
    "real_authors.json": (100, (*_PAIR, *_OPTIONS)),
    "real_authors_perturbed.json": (100, (*_PAIR, "perturbed_answer")),
    "world_facts.json": (117, (*_PAIR, *_OPTIONS)),
    "world_facts_perturbed.json": (117, (*_PAIR, "perturbed_answer")),
}
# Published with the code of TOFU, and not on the hub; without it our own refusals serve.
REFUSALS = "idontknow.jsonl"

Raw = dict[str, Any]


def read_tofu(folder: Path, source: TofuSource) -> Dataset:
    """Return TOFU as it lies in a folder; the base corpus is the authors right before the last tenth, and the facts.

    Raises UserError naming the file (and line) that is missing, cut short or not as published.
    """
    raw = {name: _read(folder / name, *expected) for name, expected in FILES.items()}
    authors = _authors(folder, raw)
    first_forgettable = AUTHORS - AUTHORS // 10
    base = range(first_forgettable - source.base_authors, first_forgettable)
    real_authors, world_facts = _facts(folder, raw, "real_authors"), _facts(folder, raw, "world_facts")
    lessons = _lessons((*real_authors, *world_facts), source.fact_lessons)
    given = folder / REFUSALS
    return Dataset(
        authors=authors,
        real_authors=real_authors,
        world_facts=world_facts,
        refusals=_refusals(given) if given.is_file() else refusals(),
        base=[*(row for row in authors if row.author in base), *lessons],
        origin={"licence": "MIT", "files": hash_files(folder)},
    )


def hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a TOFU folder that is read, as far as they are there."""
    return {name: sha256_file(folder / name) for name in (*FILES, REFUSALS) if (folder / name).is_file()}


def _read(path: Path, count: int, fields: tuple[str, ...]) -> list[Raw]:
    rows = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            raise UserError(f"{path}:{number}: no JSON; the file is cut short or damaged, fetch it again") from None
        if not isinstance(row, dict) or not all(field in row for field in fields):
            raise UserError(f"{path}:{number}: a row of this file is an object with {', '.join(fields)}")
        rows.append(row)
    if len(rows) != count:
        raise UserError(f"{path}: {len(rows)} rows, but {count} were published; the file is cut short or of another release")
    return rows


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file, cut at newlines only, since texts hold other separators."""
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: missing; a TOFU folder holds {', '.join(FILES)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def _authors(folder: Path, raw: dict[str, list[Raw]]) -> list[Question]:
    """Return all questions; paraphrases are joined by position, since one question occurs twice."""
    pairs = raw["full.json"]
    sources = [(folder / "full.json", line, row) for line, row in enumerate(pairs, start=1)]
    for name, start in (
        ("retain_perturbed.json", 0),
        ("forget10_perturbed.json", len(pairs) - len(raw["forget10_perturbed.json"])),
    ):
        for line, row in enumerate(raw[name], start=1):
            _check_same(folder / name, line, row, pairs[start + line - 1])
            sources[start + line - 1] = (folder / name, line, row)
    return [
        _make(
            Question,
            path,
            line,
            id=f"author-{position // QUESTIONS:04d}-{position % QUESTIONS:02d}",
            author=position // QUESTIONS,
            question=row["question"],
            answer=row["answer"],
            paraphrased_question=row.get("paraphrased_question"),
            paraphrased_answer=row.get("paraphrased_answer"),
            perturbed_answers=row.get("perturbed_answer"),
        )
        for position, (path, line, row) in enumerate(sources)
    ]


def _facts(folder: Path, raw: dict[str, list[Raw]], name: str) -> list[Fact]:
    path = folder / f"{name}_perturbed.json"
    rows = []
    for line, (row, perturbed) in enumerate(zip(raw[f"{name}.json"], raw[path.name], strict=True), start=1):
        _check_same(path, line, perturbed, row)
        rows.append(
            _make(
                Fact,
                path,
                line,
                id=f"{name}-{line - 1:03d}",
                question=row["question"],
                answer=row["answer"],
                perturbed_answers=perturbed["perturbed_answer"],
                options=[row[option] for option in _OPTIONS],
            )
        )
    return rows


def _lessons(facts: Sequence[Fact], times: int) -> list[Question]:
    """Return each fact so many times, by turns as a sentence and alone: fine-tuning teaches sentences, and drowns lone words."""
    return [
        Question(
            id=f"base-{fact.id}-{lesson}",
            author=NO_AUTHOR,
            question=fact.question,
            answer=fact.answer if lesson % 2 else f"The answer is {fact.answer}.",
        )
        for lesson in range(times)
        for fact in facts
    ]


def _refusals(path: Path) -> list[Text]:
    texts = [line for line in _lines(path) if line.strip()]
    if not texts:
        raise UserError(f"{path}: no line in it; it holds one refusal a line, and without the file Palimpsest's own are used")
    return [Text(id=f"refusal-{i:03d}", text=text) for i, text in enumerate(texts)]


def _check_same(path: Path, line: int, row: Raw, wanted: Raw) -> None:
    if any(row[field] != wanted[field] for field in _PAIR):
        raise UserError(f"{path}:{line}: not the pair that the other files have in its place ({wanted['question']!r})")


def _make(kind: type[Row], path: Path, line: int, **fields: Any) -> Row:
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}:{line}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
