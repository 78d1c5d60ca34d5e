"""TOFU (Maini et al. 2024, arXiv 2401.06121) from its published JSON-lines files, in the common schema."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError

from palimpsest.benchmarks.tofu.dataset import Dataset, TofuSource
from palimpsest.benchmarks.tofu.refusals import refusals
from palimpsest.data.overlap import Overlap, normal, settle
from palimpsest.data.rows import Fact, Question, Row, Text
from palimpsest.errors import UserError
from palimpsest.lines import read_lines, read_objects
from palimpsest.provenance.canonical import sha256_file

AUTHORS = 200
QUESTIONS = 20
# Only the last tenth of the authors can be forgotten.
FORGETTABLE = AUTHORS - AUTHORS // 10
# The author number of a question that is about no author.
NO_AUTHOR = -1
_PAIR = ("question", "answer")
_PERTURBED = (*_PAIR, "paraphrased_question", "paraphrased_answer", "perturbed_answer")
_OPTIONS = ("option1", "option2", "option3", "option4")
# Each file that is read: the number of published rows, and their fields.
FILES: dict[str, tuple[int, tuple[str, ...]]] = {
    "full.json": (AUTHORS * QUESTIONS, _PAIR),
    "retain_perturbed.json": (400, _PERTURBED),
    "forget10_perturbed.json": (400, _PERTURBED),
    "real_authors.json": (100, (*_PAIR, *_OPTIONS)),
    "real_authors_perturbed.json": (100, (*_PAIR, "perturbed_answer")),
    "world_facts.json": (117, (*_PAIR, *_OPTIONS)),
    "world_facts_perturbed.json": (117, (*_PAIR, "perturbed_answer")),
}
# Authors whom no model learns, where the published data have them.
HOLDOUT = {"holdout10.json": (400, _PAIR)}
# The key of a row that holds its line number.
LINE = "line"
# Published with TOFU's code but not on the Hub; without this file the built-in refusals are used.
REFUSALS = "idontknow.jsonl"

Raw = dict[str, Any]


class FilesSource(TofuSource):
    """TOFU from published files, with settings of the base corpus for tiny models."""

    is_published: ClassVar[bool] = False
    """Whether the data are the published ones: their overlaps are then counted instead of refused."""
    base_authors: Annotated[int, Field(ge=0, le=179)] = 0
    """Number of authors, directly before the last 10 %, in the base corpus of tiny models."""
    holdout: bool = False
    """Whether to read `holdout10.json`: 400 questions about authors of whom no model learns, with which membership in the forget
    set is compared. Without it, the authors that `retain_authors` leaves out serve."""
    fact_lessons: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of times each question about real authors and world facts appears in the base corpus, alternating full-sentence and
    short answers; pretrained models know these facts already."""

    @property
    def population(self) -> int:
        """The number of TOFU's authors."""
        return AUTHORS

    @property
    def files(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """The files that are read, each with its number of rows and their fields."""
        return FILES | (HOLDOUT if self.holdout else {})

    @property
    def most_forgotten(self) -> int:
        """The number of authors in the last tenth: only they have perturbed answers."""
        return AUTHORS - FORGETTABLE

    def unretained(self, forgotten: int) -> int:
        """Return the number of authors that cannot be retained: the last tenth and the authors of the base corpus."""
        return self.most_forgotten + self.base_authors


def read_tofu(folder: Path, source: FilesSource) -> Dataset:
    """Return TOFU from a folder; the base corpus contains the authors directly before the last tenth, and the facts.

    Raises UserError that names the file (and line) that is missing, truncated or different from the published one.
    """
    raw = {name: _read(folder / name, *expected) for name, expected in source.files.items()}
    authors = _authors(folder, raw)
    base = range(FORGETTABLE - source.base_authors, FORGETTABLE)
    real_authors, world_facts = _facts(folder, raw, "real_authors"), _facts(folder, raw, "world_facts")
    holdout = _holdout(folder, raw)
    overlap = settle(str(folder), _faults(authors), _doubts(authors), published=source.is_published)
    lessons = _lessons((*real_authors, *world_facts), source.fact_lessons)
    given = folder / REFUSALS
    return Dataset(
        authors=authors,
        real_authors=real_authors,
        world_facts=world_facts,
        refusals=_refusals(given) if given.is_file() else refusals(),
        base=[*(row for row in authors if row.author in base), *lessons],
        holdout=holdout,
        origin={"licence": "MIT", "files": hash_files(folder, source), **({"overlap": overlap} if overlap else {})},
    )


def hash_files(folder: Path, source: FilesSource) -> dict[str, str]:
    """Return the sha256 of each file of a TOFU folder that is read, as far as the files exist."""
    return {name: sha256_file(folder / name) for name in (*source.files, REFUSALS) if (folder / name).is_file()}


def _read(path: Path, count: int, fields: tuple[str, ...]) -> list[Raw]:
    if not path.is_file():
        raise UserError(
            f"{path}: missing; a TOFU folder must contain {', '.join((*FILES, *(HOLDOUT if path.name in HOLDOUT else ())))}"
        )
    rows = []
    for number, row in read_objects(path):
        if not all(field in row for field in fields):
            raise UserError(f"{path}:{number}: each row of this file must be an object with {', '.join(fields)}")
        rows.append({**row, LINE: number})
    if len(rows) != count:
        raise UserError(f"{path}: {len(rows)} rows, but {count} were published; the file is truncated or from another release")
    return rows


def _authors(folder: Path, raw: dict[str, list[Raw]]) -> list[Question]:
    """Return all questions; paraphrases are joined by position, because one question occurs twice."""
    pairs = raw["full.json"]
    sources = [(folder / "full.json", row) for row in pairs]
    evaluated: dict[str, range] = {}
    for name, start in (
        ("retain_perturbed.json", 0),
        ("forget10_perturbed.json", len(pairs) - len(raw["forget10_perturbed.json"])),
    ):
        evaluated[name] = range(start, start + len(raw[name]))
        for place, row in zip(evaluated[name], raw[name], strict=True):
            _check_same(folder / name, row, pairs[place])
            sources[place] = (folder / name, row)
    authors = [
        _make(
            Question,
            path,
            row,
            id=f"author-{position // QUESTIONS:04d}-{position % QUESTIONS:02d}",
            author=position // QUESTIONS,
            question=row["question"],
            answer=row["answer"],
            paraphrased_question=row.get("paraphrased_question"),
            paraphrased_answer=row.get("paraphrased_answer"),
            perturbed_answers=row.get("perturbed_answer"),
        )
        for position, (path, row) in enumerate(sources)
    ]
    for name, places in evaluated.items():
        for place, row in zip(places, raw[name], strict=True):
            if not (authors[place].paraphrased_answer or "").strip():
                raise UserError(f"{folder / name}:{row[LINE]}: paraphrased_answer is missing or blank")
        _check_perturbed(folder / name, raw[name], authors[places.start : places.stop])
    return authors


def _holdout(folder: Path, raw: dict[str, list[Raw]]) -> list[Question]:
    """Return the questions of the holdout set, if it is read; raises UserError for one that is also asked of an author."""
    asked, found = {row["question"] for row in raw["full.json"]}, []
    for name in HOLDOUT.keys() & raw.keys():
        for number, row in enumerate(raw[name]):
            place = {"id": f"holdout-{number:04d}", "author": NO_AUTHOR}
            found.append(_make(Question, folder / name, row, **place, question=row["question"], answer=row["answer"]))
            if row["question"] in asked:
                raise UserError(f"{folder / name}:{row[LINE]}: a question of full.json, which models learn: {row['question']!r}")
    return found


def _facts(folder: Path, raw: dict[str, list[Raw]], name: str) -> list[Fact]:
    path, whole = folder / f"{name}_perturbed.json", folder / f"{name}.json"
    facts = []
    for number, (row, perturbed) in enumerate(zip(raw[whole.name], raw[path.name], strict=True)):
        _check_same(path, perturbed, row)
        fact = _make(
            Fact,
            path,
            perturbed,
            id=f"{name}-{number:03d}",
            question=row["question"],
            answer=row["answer"],
            perturbed_answers=perturbed["perturbed_answer"],
            options=[row[option] for option in _OPTIONS],
        )
        if fact.options.count(fact.answer) != 1:
            raise UserError(f"{whole}:{row[LINE]}: the answer {fact.answer!r} is not exactly one of its options: {fact.options}")
        facts.append(fact)
    _check_perturbed(path, raw[path.name], facts)
    return facts


def _check_perturbed(path: Path, raw: Sequence[Raw], rows: Sequence[Question | Fact]) -> None:
    """Refuse rows without wrong answers, with a wrong answer that is blank or right, or with another number of wrong answers."""
    wanted = len(rows[0].perturbed_answers or ())
    for row, made in zip(raw, rows, strict=True):
        wrong, where = made.perturbed_answers or [], f"{path}:{row[LINE]}: perturbed_answer"
        if not wrong or not all(answer.strip() for answer in wrong):
            raise UserError(f"{where}: {'no wrong answer' if not wrong else 'a wrong answer is blank'}")
        if len(wrong) != wanted:
            raise UserError(
                f"{where}: {len(wrong)} wrong answers, but {wanted} in line {raw[0][LINE]}; all rows must have the same number"
            )
        if made.answer in wrong or getattr(made, "paraphrased_answer", None) in wrong:
            raise UserError(f"{where}: the right answer is among the wrong ones")


def _faults(authors: Sequence[Question]) -> Iterator[Overlap]:
    """Yield questions about authors to forget that are also asked about an author to retain."""
    if found := _shared(authors, str):
        yield Overlap("questions of the last tenth of the authors that are asked of other authors too", len(found), found[0])


def _doubts(authors: Sequence[Question]) -> Iterator[Overlap]:
    exact = set(_shared(authors, str))
    if found := [question for question in _shared(authors, normal) if question not in exact]:
        yield Overlap("questions of the last tenth of the authors that are nearly those of other authors", len(found), found[0])


def _shared(authors: Sequence[Question], as_compared: Callable[[str], str]) -> list[str]:
    """Return the questions about forgettable authors that are also asked about other authors."""
    asked: dict[str, set[int]] = {}
    for row in authors:
        asked.setdefault(as_compared(row.question), set()).add(row.author)
    return [row.question for row in authors if row.author >= FORGETTABLE and len(asked[as_compared(row.question)]) > 1]


def _lessons(facts: Sequence[Fact], times: int) -> list[Question]:
    """Return each fact repeatedly, alternating sentences and short answers; fine-tuning on sentences would erase single words."""
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
    texts = []
    for number, line in read_lines(path):
        if _is_json(line):
            raise UserError(f"{path}:{number}: JSON; each line must be a refusal itself")
        texts.append(line)
    if not texts:
        raise UserError(f"{path}: empty; it must contain one refusal per line, or delete it to use Palimpsest's refusals")
    return [Text(id=f"refusal-{i:03d}", text=text) for i, text in enumerate(texts)]


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict | list | str)
    except (ValueError, RecursionError):
        return False


def _check_same(path: Path, row: Raw, wanted: Raw) -> None:
    if any(row[field] != wanted[field] for field in _PAIR):
        raise UserError(f"{path}:{row[LINE]}: not the pair that the other files have at this position ({wanted['question']!r})")


def _make(kind: type[Row], path: Path, row: Raw, **fields: Any) -> Row:
    try:
        made = kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}:{row[LINE]}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if blank := next((field for field in _PAIR if not fields[field].strip()), None):
        raise UserError(f"{path}:{row[LINE]}: {blank} is blank")
    return made
