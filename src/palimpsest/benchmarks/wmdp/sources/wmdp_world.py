"""The fictional world in WMDP's shape."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from palimpsest.benchmarks.wmdp.dataset import WmdpData, WmdpSource
from palimpsest.settings import Seed


class WmdpWorldSource(WmdpSource):
    """A harmless stand-in for hazardous knowledge: bewitched things out of invented fairy tales, with questions about them."""

    sets: ClassVar = (*WmdpSource.sets, "original", "hazards", "general", "base")
    kind: Literal["wmdp-world"]
    """Made here, offline."""
    seed: Seed = 0
    """Seed of the world."""
    hazards: Annotated[int, Field(ge=4, le=400)] = 20
    """Bewitched things, to forget: two texts and six questions each."""
    harmless: Annotated[int, Field(ge=4, le=400)] = 20
    """Kinds of pastry, to retain: as many each."""
    world_facts: Annotated[int, Field(ge=4, le=240)] = 40
    """Questions on countries, which no text tells of: known to the base, and asked beside those on pastry."""

    def read(self) -> WmdpData:
        """Return both corpora and the questions; the same settings give the same rows."""
        from palimpsest.benchmarks.wmdp.world import make_dataset

        return make_dataset(self)
