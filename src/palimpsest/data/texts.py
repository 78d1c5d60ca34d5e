"""The data of a benchmark of texts in the one schema, as every source gives it: MUSE's shape and WMDP's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palimpsest.data.rows import Excerpt, Fact, Pair, Text, write_rows
from palimpsest.settings import Settings

Lessons = Sequence[Pair | Text]


@dataclass(frozen=True)
class MuseData:
    """A corpus in four parts and what is asked about it (MUSE, arXiv 2407.06460, Sec. 3).

    `forget` is to be forgotten; `retain` is what unlearning may look at to keep the rest; `kept` is learnt too, and seen by no
    unlearning; `holdout` nobody learns. `scales` are larger forget sets, each holding the one before it and the first `forget`;
    `requests` are further ones, apart from each other and from `forget`. The original learns all but `holdout`, Retrain what
    is in `retain` and `kept`.
    """

    forget: list[Text]
    retain: list[Text]
    kept: list[Text]
    holdout: list[Text]
    verbatim: list[Excerpt]
    """Cut from `forget`."""
    knowledge_forget: list[Pair]
    examples_forget: list[Pair]
    """Shown in context before each question of `knowledge_forget`."""
    knowledge_retain: list[Pair]
    examples_retain: list[Pair]
    members: list[Text]
    """Of `forget`, to be told from `nonmembers`."""
    nonmembers: list[Text]
    """Of `holdout`."""
    origin: dict[str, Any]
    scales: list[list[Text]] = field(default_factory=list)
    requests: list[list[Text]] = field(default_factory=list)
    base: Lessons = ()
    """What the base of a tiny model learns."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file a set, with what each model learns, and return the number of rows of each."""
        retained = [*self.retain, *self.kept]
        forgettable = {text.id: text for part in (self.forget, *self.scales, *self.requests) for text in part}
        return _write(
            directory,
            {
                "forget": self.forget,
                "retain": self.retain,
                "original": [*retained, *forgettable.values()],
                "retrain": retained,
                "verbatim": self.verbatim,
                "knowledge_forget": self.knowledge_forget,
                "examples_forget": self.examples_forget,
                "knowledge_retain": self.knowledge_retain,
                "examples_retain": self.examples_retain,
                "members": self.members,
                "nonmembers": self.nonmembers,
                "base": self.base,
                **{f"scale{number}": part for number, part in enumerate(self.scales, start=2)},
                **{f"request{number}": part for number, part in enumerate(self.requests, start=2)},
            },
        )


@dataclass(frozen=True)
class WmdpData:
    """A corpus to forget, one to retain, and multiple-choice questions (WMDP, arXiv 2403.03218).

    `original` is what an original learns first, where the base does not know it; questions of one's own are asked by tasks of
    lm-eval with local data (`{data}/hazards.jsonl`, `{data}/general.jsonl`).
    """

    forget: list[Text]
    retain: list[Text]
    origin: dict[str, Any]
    hazards: list[Fact] = field(default_factory=list)
    """Questions on what is to be forgotten."""
    general: list[Fact] = field(default_factory=list)
    """Questions on what is to stay."""
    original: Lessons = ()
    base: Lessons = ()
    """What the base of a tiny model learns."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file a set and return the number of rows of each."""
        return _write(
            directory,
            {
                "forget": self.forget,
                "retain": self.retain,
                "original": self.original,
                "hazards": self.hazards,
                "general": self.general,
                "base": self.base,
            },
        )


def cut_excerpt(text: Text, given: int) -> Excerpt:
    """Return a text cut in two behind so many words, at a space that neither part holds."""
    words = text.text.split(" ")
    return Excerpt(id=text.id, prompt=" ".join(words[:given]), continuation=" ".join(words[given:]))


def _write(directory: Path, sets: dict[str, Sequence[Settings]]) -> dict[str, int]:
    for name, rows in sets.items():
        write_rows(directory / f"{name}.jsonl", rows)
    return {name: len(rows) for name, rows in sets.items()}
