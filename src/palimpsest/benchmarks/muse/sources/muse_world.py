"""The fictional world in MUSE's shape."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.settings import Seed


class MuseWorldSource(MuseSource):
    """Articles about the people of the fictional world and quizzes about them, with questions."""

    sets: ClassVar = (*MuseSource.sets, "base")
    kind: Literal["muse-world"]
    """Made here, offline."""
    seed: Seed = 0
    """Seed of the world: other seeds, other people."""
    texts: Annotated[int, Field(ge=2, le=200)] = 10
    """Articles, each about one person, in the forget set, in each further request, and in each part that is not forgotten."""
    parts: Annotated[int, Field(ge=1, le=8)] = 4
    """Forget sets: the first, and so many requests and sizes less one."""
    base_texts: Annotated[int, Field(ge=1, le=2500)] = 40
    """Articles about other people, whom only the base of a tiny model learns."""

    @property
    def forget_sets(self) -> int:
        """The parts."""
        return self.parts

    def read(self) -> MuseData:
        """Return the corpus and its questions; the same settings give the same rows."""
        from palimpsest.benchmarks.muse.world import make_dataset

        return make_dataset(self)
