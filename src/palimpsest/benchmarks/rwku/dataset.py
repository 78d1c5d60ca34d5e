"""The format of RWKU's data, and its files in a folder (RWKU, arXiv 2406.10890)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Pair, Text, write_sets
from palimpsest.errors import UserError
from palimpsest.mistakes import suggest
from palimpsest.provenance.canonical import sha256_file
from palimpsest.settings import Count
from palimpsest.strict_json import read_json

# The folder of the files on the Hub.
ALL = "All"
TARGETS = "intro.json"
# The file of each set of probes: texts with a blank, questions, attacks, and the first two about neighbours.
PROBES = {
    "blanks": "forget_level1.json",
    "questions": "forget_level2.json",
    "attacks": "forget_level3.json",
    "neighbour_blanks": "neighbor_level1.json",
    "neighbour_questions": "neighbor_level2.json",
}
# Texts that contain the people to forget, and texts that do not.
MEMBERSHIP = {"members": "forget_mia.json", "nonmembers": "retain_mia.json"}
Corpus = Literal["positive", "positive_phi", "passage"]


@dataclass(frozen=True)
class RwkuData:
    """Texts about the people to forget and about others, and probes; a probe of an attack is named `KIND/NUMBER`."""

    forget: Sequence[Text]
    retain: Sequence[Text]
    probes: dict[str, Sequence[Pair]]
    members: Sequence[Text]
    nonmembers: Sequence[Text]
    origin: dict[str, Any]

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""
        texts = {name: getattr(self, name) for name in ("forget", "retain", *MEMBERSHIP)}
        return write_sets(directory, {**texts, **self.probes})


class RwkuSource(Source):
    """A source of RWKU's people."""

    sets: ClassVar[tuple[str, ...]] = ("forget", "retain", *PROBES, *MEMBERSHIP)

    targets: Count | list[str] = 1
    """The people to forget: the first N of the list, or their names."""
    retain_targets: Count = 10
    """The number of other people, the next of the list, whose texts are retained; RWKU itself retains nothing."""
    corpus: Corpus = "positive"
    """The texts to forget: by Llama-3-8B-Instruct (`positive`), by Phi-3 (`positive_phi`), or from Wikipedia (`passage`)."""

    @property
    def files(self) -> list[str]:
        """The names of the files that are read."""
        return [TARGETS, *PROBES.values(), *MEMBERSHIP.values(), f"{self.corpus}.json"]

    def hashes(self, folder: Path) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        within = _within(folder)
        return {name: sha256_file(within / name) for name in self.files if (within / name).is_file()}

    def read_from(self, folder: Path) -> RwkuData:
        """Return the people, their texts and their probes; raises UserError for a broken file and for an unknown person."""
        within = _within(folder)
        known = [row["target"] for row in _rows(within / TARGETS, "target")]
        wanted = known[: self.targets] if isinstance(self.targets, int) else self.targets
        if unknown := next((name for name in wanted if name not in known), None):
            raise UserError(f"source: targets: {suggest('target', unknown, known)}")
        others = [name for name in known if name not in wanted][: self.retain_targets]
        texts = _rows(within / f"{self.corpus}.json", "subject", "text")
        of = {name: _rows(within / file, "subject", "query", "answer") for name, file in PROBES.items()}
        membership = {name: _rows(within / file, "subject", "text") for name, file in MEMBERSHIP.items()}
        data = RwkuData(
            _texts(texts, wanted),
            _texts(texts, others),
            {name: _pairs(rows, wanted) for name, rows in of.items()},
            **{name: _texts(rows, wanted) for name, rows in membership.items()},
            origin={"licence": "CC-BY-4.0", "files": self.hashes(folder), "targets": wanted, "retain_targets": others},
        )
        if not data.forget or not data.retain:
            lacking = f"of {wanted}" if not data.forget else "of other people"
            raise UserError(f"{within / self.corpus}.json: no text {lacking}")
        return data


def _within(folder: Path) -> Path:
    return folder / ALL if (folder / ALL).is_dir() else folder


def _rows(path: Path, *columns: str) -> list[dict[str, Any]]:
    """Return the rows of a JSON file, a list of objects with these texts."""
    if not path.is_file():
        raise UserError(f"{path}: missing")
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: not a list of objects")
    for number, row in enumerate(rows, start=1):
        if wrong := next((column for column in columns if not isinstance(row.get(column), str) or not row[column].strip()), None):
            raise UserError(f"{path}: row {number}: no text in column {wrong}; required columns: {', '.join(columns)}")
    return rows


def _texts(rows: Iterable[dict[str, Any]], people: Sequence[str]) -> list[Text]:
    """Return the texts of these people, named after them."""
    of = [row for row in rows if row["subject"] in people]
    return [Text(id=f"{row['subject']}/{number}", text=row["text"]) for number, row in enumerate(of)]


def _pairs(rows: Iterable[dict[str, Any]], people: Sequence[str]) -> list[Pair]:
    of = [row for row in rows if row["subject"] in people]
    return [
        Pair(id=f"{row.get('type') or 'probe'}/{number}", question=row["query"], answer=row["answer"])
        for number, row in enumerate(of)
    ]
