"""What the settings of all kinds of suites share, and the scores that a selection may judge by."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from palimpsest.settings import Settings

Tokens = Annotated[int, Field(ge=1, le=10_000)]


class Aim(NamedTuple):
    """A score that a selection may maximise."""

    name: str
    label: str
    """Its name in a sentence."""
    distance: str = ""
    """The metric whose absolute value it is, with its sign turned: over seeds, too little cannot make up for too much."""

    @property
    def metric(self) -> str:
        """The metric that it is made of."""
        return self.distance or self.name

    def value(self, scores: Mapping[str, float]) -> float:
        """Return its value, the higher the better; NaN where the scores lack it."""
        value = scores.get(self.metric, math.nan)
        return -abs(value) if self.distance else value


class Suite(Settings):
    """The settings of a suite, declared by its kind."""

    kind: str
    aims: ClassVar[tuple[Aim, Aim] | None] = None
    """How close to Retrain a model is, and how useful it still is; None: no trajectory and no selection has this suite."""
    retrains: ClassVar[tuple[str, ...]] = ()
    """The inputs of the stage `scores` with Retrains that its metrics need: `retrain`, and `other_retrains` of other seeds."""
