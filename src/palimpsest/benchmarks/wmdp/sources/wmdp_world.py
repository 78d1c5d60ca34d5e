"""The fictional world in WMDP's format."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from palimpsest.benchmarks.wmdp.dataset import WmdpData, WmdpSource
from palimpsest.settings import Seed


class WmdpWorldSource(WmdpSource):
    """A harmless stand-in for hazardous knowledge: bewitched things from invented fairy tales, with questions about them."""

    sets: ClassVar = (*WmdpSource.sets, "original", "hazards", "general", "base")
    kind: Literal["wmdp-world"]
    """Generated from a seed, offline."""
    seed: Seed = 0
    """Seed of the world."""
    hazards: Annotated[int, Field(ge=4, le=400)] = 20
    """Number of bewitched things to forget, with two texts and six questions each."""
    harmless: Annotated[int, Field(ge=4, le=400)] = 20
    """Number of kinds of pastry to retain, with two texts and six questions each."""
    world_facts: Annotated[int, Field(ge=4, le=240)] = 40
    """Number of questions about countries; the base learns them, no corpus contains them, and the utility task asks them too."""

    def read(self) -> WmdpData:
        """Return both corpora and the questions; the same settings give the same rows."""
        from palimpsest.benchmarks.wmdp.world import make_dataset

        return make_dataset(self)
