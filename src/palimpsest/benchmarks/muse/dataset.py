"""MUSE's shape of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Excerpt, Pair, Text, write_sets


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
    base: Sequence[Pair | Text] = ()
    """What the base of a tiny model learns."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set, with what each model learns, and return the number of rows of each."""
        retained = [*self.retain, *self.kept]
        forgettable = {text.id: text for part in (self.forget, *self.scales, *self.requests) for text in part}
        return write_sets(
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


def cut_excerpt(text: Text, given: int) -> Excerpt:
    """Return a text cut in two behind so many words, at a space that neither part holds."""
    words = text.text.split(" ")
    return Excerpt(id=text.id, prompt=" ".join(words[:given]), continuation=" ".join(words[given:]))


class MuseSource(Source):
    """Where a corpus of MUSE's shape comes from."""

    sets: ClassVar[tuple[str, ...]] = (
        *("forget", "retain", "original", "retrain", "verbatim", "members", "nonmembers"),
        *("knowledge_forget", "examples_forget", "knowledge_retain", "examples_retain", "scale[2-9]", "request[2-9]"),
    )

    @property
    def forget_sets(self) -> int | None:
        """How many forget sets there are, sizes and requests alike; None where only the data say so."""
        return None
