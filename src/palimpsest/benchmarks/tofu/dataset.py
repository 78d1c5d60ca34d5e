"""TOFU's shape of a data set, and what every source of it says."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Fact, Question, Text, write_sets


@dataclass(frozen=True)
class Dataset:
    """Authors in order, facts, refusals, the base corpus, and where all of it comes from."""

    authors: list[Question]
    real_authors: list[Fact]
    world_facts: list[Fact]
    refusals: list[Text]
    base: list[Question]
    origin: dict[str, Any]

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""
        return write_sets(directory, {name: rows for name, rows in vars(self).items() if name != "origin"})


class TofuSource(Source):
    """Where questions on authors come from."""

    sets: ClassVar[tuple[str, ...]] = ("forget", "retain", "real_authors", "world_facts", "refusals")
    base_authors: int

    @property
    @abstractmethod
    def population(self) -> int:
        """How many authors there are to retain and to forget."""

    @property
    def most_forgotten(self) -> int:
        """How many of them a split can forget at most."""
        return self.population

    def unretained(self, forgotten: int) -> int:
        """Return how many of them cannot be retained in a split that forgets so many."""
        return forgotten
