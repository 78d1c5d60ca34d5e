"""The format of TOFU data sets, and the base class of their sources."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Fact, Question, Text, write_sets


@dataclass(frozen=True)
class Dataset:
    """A TOFU data set: authors in order, facts, refusals, the base corpus, further authors, and the origin of the data."""

    authors: list[Question]
    real_authors: list[Fact]
    world_facts: list[Fact]
    refusals: list[Text]
    base: list[Question]
    holdout: list[Question]
    """Questions about authors of whom no model learns, with which membership in the forget set is compared; may be empty."""
    origin: dict[str, Any]

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""
        return write_sets(directory, {name: rows for name, rows in vars(self).items() if name != "origin"})


PER_AUTHOR = 20


class TofuSource(Source):
    """A source of questions about authors."""

    sets: ClassVar[tuple[str, ...]] = ("forget", "retain", "real_authors", "world_facts", "refusals")
    base_authors: int

    @property
    @abstractmethod
    def population(self) -> int:
        """The number of authors."""

    def tokens(self, item: float) -> float:
        """Return about how many tokens the questions have with their answers."""
        return self.population * PER_AUTHOR * item

    @property
    def most_forgotten(self) -> int:
        """The maximum number of authors that a split can forget."""
        return self.population

    def unretained(self, forgotten: int) -> int:
        """Return the number of authors that cannot be retained if a split forgets `forgotten`."""
        return forgotten
