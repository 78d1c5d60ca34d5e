"""The riddles that come with this package, in `riddle_book.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from palimpsest.benchmarks.base import Source
from palimpsest.data.rows import Pair, Text, write_sets


@dataclass(frozen=True)
class RiddleData:
    """Riddles of two kinds, and texts for the base of a tiny model."""

    hard: list[Pair]
    easy: list[Pair]
    base: list[Text]
    origin: dict[str, Any]

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""
        return write_sets(directory, {"hard": self.hard, "easy": self.easy, "base": self.base})


class RiddleBook(Source):
    """Riddles of this package."""

    sets: ClassVar = ("hard", "easy", "base")
    kind: Literal["riddle-book"]
    """From a file of the package."""

    def read(self) -> RiddleData:
        """Return all riddles."""
        # The config imports this module: what only this job needs is imported here.
        import yaml

        book = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
        riddles = {
            kind: [
                Pair(id=f"{kind}-{n}", question=question, answer=answer)
                for n, (question, answer) in enumerate(book[kind].items())
            ]
            for kind in ("hard", "easy")
        }
        base = [Text(id=f"base-{n}", text=text) for n, text in enumerate(book["base"])]
        return RiddleData(**riddles, base=base, origin={"licence": "MIT"})
