"""The fictional world in MUSE's format."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.settings import Seed

# The topics in world.yaml.
TOPICS = 10


class MuseWorldSource(MuseSource):
    """Articles, quizzes and questions about people of the fictional world."""

    sets: ClassVar = (*MuseSource.sets, "base")
    kind: Literal["muse-world"]
    """Generated from a seed, offline."""
    seed: Seed = 0
    """Seed of the world; each seed gives different people."""
    texts: Annotated[int, Field(ge=2, le=200)] = 10
    """Articles, each about one person, per set: the forget set, each further request, and each of the other sets."""
    parts: Annotated[int, Field(ge=1, le=8)] = 4
    """Number of parts N of the forget data: `forget` is the first, and scale2 to scaleN and request2 to requestN exist."""
    topics: Annotated[int, Field(ge=1, le=TOPICS)] = 5
    """Topics that an article tells besides the birth of its person; fewer topics make shorter articles."""
    questions: Annotated[int, Field(ge=1, le=TOPICS + 1)] = 4
    """Questions about each article, at most one per topic and one about the birth."""
    base_texts: Annotated[int, Field(ge=1, le=2500)] = 40
    """Articles about further people, which only the base of a tiny model learns."""

    @property
    def forget_sets(self) -> int:
        """The number of parts."""
        return self.parts

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.questions > self.topics + 1:
            raise ValueError(f"questions: {self.questions}: {self.topics} topics and the birth allow at most {self.topics + 1}")
        return self

    def read(self) -> MuseData:
        """Return the corpus and its questions; the same settings give the same rows."""
        from palimpsest.benchmarks.muse.world import make_dataset

        return make_dataset(self)
