"""The entry of the config: which splits there are, and which suites measure them."""

from typing import ClassVar, Literal

from palimpsest.benchmarks.base import SourcedBenchmark

# A split is named after the riddles that it forgets.
SPLITS = ("hard", "easy")


class RiddleBenchmark(SourcedBenchmark):
    """Riddles of two kinds, of which one is forgotten."""

    suite_kinds: ClassVar = ("riddles",)
    kind: Literal["riddles"]
    """Questions with one answer each."""

    @property
    def split_names(self) -> str:
        """How its splits are called."""
        return " or ".join(SPLITS)

    def has_split(self, split: str) -> bool:
        """Return whether a split has this name."""
        return split in SPLITS
