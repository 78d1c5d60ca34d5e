"""The format of LUME's data, and its files in a folder (LUME, arXiv 2502.15097; SemEval-2025, task 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from palimpsest.benchmarks.base import Source
from palimpsest.data.columns import hash_sets, list_files, name_texts, read_columns
from palimpsest.data.overlap import Overlap, settle, some
from palimpsest.data.rows import Pair, Text, write_sets
from palimpsest.errors import UserError

TASKS = ("task1", "task2", "task3")
# The forms of an item: a text to complete, and a question.
FORMS = ("sc", "qa")
SETS = ("forget", "retain")
# The folder and the sets of the documents for membership inference.
MEMBERSHIP, MEMBERS = "mia_data", ("member", "nonmember")
# The folder of the other files on the Hub.
DATA = "data"
COLUMNS = ("id", "input", "output", "task")
_FORM = re.compile(rf"({'|'.join(FORMS)})\d+$")
Fold = Literal["train", "validation"]


class Place(NamedTuple):
    """What an item is: its task and its form."""

    task: str
    form: str


@dataclass(frozen=True)
class LumeData:
    """Items to forget and to retain, named `TASK/FORM/ID`, and documents for membership inference, of which there may be none."""

    forget: Sequence[Pair]
    retain: Sequence[Pair]
    origin: dict[str, Any]
    members: Sequence[Text] = ()
    """Documents of the forget set."""
    nonmembers: Sequence[Text] = ()
    """Documents like them that no model learns."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each; the base of a tiny model learns `retain`."""
        sets = {name: rows for name, rows in vars(self).items() if name != "origin"}
        return write_sets(directory, {**sets, "base": self.retain})


class LumeSource(Source):
    """A source of LUME's tasks."""

    sets: ClassVar[tuple[str, ...]] = (*SETS, "members", "nonmembers", "base")


def place_of(id: str) -> Place:
    """Return the task and the form in the name of an item."""
    task, form, _ = id.split("/", 2)
    return Place(task, form)


def files_of(folder: Path, fold: Fold | None) -> list[tuple[str, str]]:
    """Return folder and name of every set of a fold; the files may be in the folder itself, or in its folder `data`."""
    suffix = f"_{fold}" if fold else ""
    within = DATA if any(list_files(folder / DATA, f"{name}{suffix}") for name in SETS) else ""
    return [(within, f"{name}{suffix}") for name in SETS] + [(MEMBERSHIP, name) for name in MEMBERS]


def read_lume(folder: Path, fold: Fold | None, where: str, *, published: bool) -> LumeData:
    """Return the items of a fold, with the counts of overlaps; messages about overlaps begin with `where`.

    Raises UserError for a missing or broken file, an item without its task or form, one half of the membership documents, and for
    items that are in both sets, unless the data are the published ones.
    """
    forget, retain, members, nonmembers = files_of(folder, fold)
    documents = {}
    if any(list_files(folder / within, name) for within, name in (members, nonmembers)):
        documents = {f"{name}s": _documents(folder / within, name) for within, name in (members, nonmembers)}
    origin = {"licence": "Apache-2.0", "files": hash_sets(folder, (forget, retain, members, nonmembers))}
    data = LumeData(_items(folder / forget[0], forget[1]), _items(folder / retain[0], retain[1]), origin, **documents)
    overlap = settle(where, _faults(data), (), published=published)
    return replace(data, origin=origin | ({"overlap": overlap} if overlap else {}))


def _items(folder: Path, name: str) -> list[Pair]:
    found: dict[str, Pair] = {}
    for number, row in enumerate(read_columns(folder, name, COLUMNS), start=1):
        where = f"{folder}: {name}: row {number}"
        if blank := next((column for column in COLUMNS if not row[column].strip()), None):
            raise UserError(f"{where}: column {blank} is blank")
        task, form = row["task"].lower(), _FORM.search(row["id"])
        if task not in TASKS:
            raise UserError(f"{where}: task {row['task']!r}: allowed are Task1, Task2 and Task3")
        if form is None:
            raise UserError(f"{where}: id {row['id']!r}: it must end in sc or qa and a number")
        id = f"{task}/{form[1]}/{row['id']}"
        if id in found:
            raise UserError(f"{where}: id {row['id']!r}: given twice for {row['task']}")
        found[id] = Pair(id=id, question=row["input"], answer=row["output"])
    if not found:
        raise UserError(f"{folder}: no row in {name}")
    return list(found.values())


def _documents(folder: Path, name: str) -> list[Text]:
    texts = name_texts(row["document"] for row in read_columns(folder, name, ("document",)) if row["document"].strip())
    if not texts:
        raise UserError(f"{folder}: no text in {name}")
    return texts


def _faults(data: LumeData) -> Iterator[Overlap]:
    """Yield overlaps that make the numbers wrong."""
    told: Callable[[Pair], tuple[str, str]] = lambda item: (item.question, item.answer)  # noqa: E731
    forgotten = set(map(told, data.forget))
    yield from some("items of retain that are in forget", (item.question for item in data.retain if told(item) in forgotten))
    members = {text.text for text in data.members}
    yield from some("non-members that are members", (text.text for text in data.nonmembers if text.text in members))
