"""The fictional world in TOFU's format."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.benchmarks.tofu.dataset import Dataset, TofuSource
from palimpsest.settings import Fraction, Seed


class WorldSource(TofuSource):
    """The fictional world: authors, facts and refusals generated from a seed, at any scale."""

    kind: Literal["world"]
    """Generated from a seed, offline."""
    seed: Seed = 0
    """Seed of the world; each seed gives different people."""
    authors: Annotated[int, Field(ge=4, le=2500)] = 40
    """Number of authors in the forget and retain sets together."""
    questions_per_author: Annotated[int, Field(ge=2, le=20)] = 20
    """Questions per author."""
    base_authors: Annotated[int, Field(ge=1, le=2500)] = 100
    """Number of further people, which only the base of a tiny model learns."""
    holdout_authors: Annotated[int, Field(ge=0, le=2000)] = 4
    """Number of further people whom no model learns, with whom membership in the forget set is compared."""
    real_authors: Annotated[int, Field(ge=4, le=2500)] = 20
    """Number of questions in the set "real authors"; the base learns them, and they are in no forget or retain set."""
    world_facts: Annotated[int, Field(ge=4, le=240)] = 20
    """Number of questions in the set "world facts"; the base learns them, and they are in no forget or retain set."""
    fact_lessons: Annotated[int, Field(ge=1, le=1000)] = 2
    """Times the base corpus asks each fact in each phrasing, with a short answer and with a sentence; more makes facts last
    longer."""
    long_answers: Fraction = 0.5
    """Fraction of the answers that are long sentences; the others are short."""

    @property
    def population(self) -> int:
        """The number of authors."""
        return self.authors

    def tokens(self, item: float) -> float:
        """Return about how many tokens the questions have with their answers."""
        return self.authors * self.questions_per_author * item

    def read(self) -> Dataset:
        """Return the data set; the same settings give the same rows."""
        from palimpsest.benchmarks.tofu.world import make_dataset

        return make_dataset(self)
