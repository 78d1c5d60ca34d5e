"""The format of MUSE data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Excerpt, Pair, Text, write_sets


@dataclass(frozen=True)
class MuseData:
    """A corpus in four parts with questions about it (MUSE, arXiv 2407.06460, Sec. 3).

    `forget` is the forget set; `retain` is the retain set of unlearning; `kept` is learnt too but never used by unlearning; no
    model learns `holdout`. `scales` are larger forget sets, each containing the previous one, and the first containing `forget`;
    `requests` are further forget sets, disjoint from each other and from `forget`. Original learns everything except `holdout`,
    Retrain learns `retain` and `kept`.
    """

    forget: list[Text]
    retain: list[Text]
    kept: list[Text]
    holdout: list[Text]
    verbatim: list[Excerpt]
    """Excerpts of `forget`."""
    knowledge_forget: list[Pair]
    examples_forget: list[Pair]
    """Few-shot examples before each question of `knowledge_forget`."""
    knowledge_retain: list[Pair]
    examples_retain: list[Pair]
    members: list[Text]
    """Texts of `forget`, to be separated from `nonmembers`."""
    nonmembers: list[Text]
    """Texts of `holdout`."""
    origin: dict[str, Any]
    scales: list[list[Text]] = field(default_factory=list)
    requests: list[list[Text]] = field(default_factory=list)
    base: Sequence[Pair | Text] = ()
    """The corpus for the base of a tiny model."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and per training set, and return the number of rows of each."""
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
    """Split a text after a number of words, at a space that is in neither part."""
    words = text.text.split(" ")
    return Excerpt(id=text.id, prompt=" ".join(words[:given]), continuation=" ".join(words[given:]))


class MuseSource(Source):
    """A source of a corpus in MUSE's format."""

    sets: ClassVar[tuple[str, ...]] = (
        *("forget", "retain", "original", "retrain", "verbatim", "members", "nonmembers"),
        *("knowledge_forget", "examples_forget", "knowledge_retain", "examples_retain", "scale[2-9]", "request[2-9]"),
    )

    @property
    def forget_sets(self) -> int | None:
        """The number of forget sets, for sizes and for requests; None if only the data determine it."""
        return None
