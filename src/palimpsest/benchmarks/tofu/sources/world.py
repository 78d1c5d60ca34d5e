"""The fictional world in TOFU's shape."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.benchmarks.tofu.dataset import Dataset, TofuSource
from palimpsest.settings import Fraction, Seed


class WorldSource(TofuSource):
    """The fictional world: authors, facts and refusals made from a seed, at any scale."""

    kind: Literal["world"]
    """Made here, offline."""
    seed: Seed = 0
    """Seed of the world: other seeds, other people."""
    authors: Annotated[int, Field(ge=4, le=2500)] = 40
    """Authors to retain and to forget."""
    questions_per_author: Annotated[int, Field(ge=2, le=20)] = 20
    """Questions with answers per author."""
    base_authors: Annotated[int, Field(ge=1, le=2500)] = 100
    """Other people, whom only the base of a tiny model learns."""
    real_authors: Annotated[int, Field(ge=4, le=2500)] = 20
    """Questions of the set "real authors": known to the base, in no split."""
    world_facts: Annotated[int, Field(ge=4, le=240)] = 20
    """Questions of the set "world facts": known to the base, in no split."""
    fact_lessons: Annotated[int, Field(ge=1, le=1000)] = 2
    """How often the base corpus asks a fact in each phrasing, for a word and for a sentence: more, and a tiny model keeps it."""
    long_answers: Fraction = 0.5
    """Share of answers that are long sentences; the others are short."""

    @property
    def population(self) -> int:
        """The authors to retain and to forget."""
        return self.authors

    def read(self) -> Dataset:
        """Return the data set; the same settings give the same rows."""
        from palimpsest.benchmarks.tofu.world import make_dataset

        return make_dataset(self)
