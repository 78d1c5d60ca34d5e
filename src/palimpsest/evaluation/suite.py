"""The base class of all suite settings, and the scores that a selection may use."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from palimpsest.settings import Settings

Tokens = Annotated[int, Field(ge=1, le=10_000)]


class Aim(NamedTuple):
    """A score that a selection may maximise."""

    name: str
    label: str
    """The name of the score in a sentence."""
    distance: str = ""
    """The metric whose negated absolute value is the score, so that too little on one seed cannot offset too much on another."""

    @property
    def metric(self) -> str:
        """The metric that the score is computed from."""
        return self.distance or self.name

    def value(self, scores: Mapping[str, float]) -> float:
        """Return the value of the score, higher is better; NaN if the metric is missing."""
        value = scores.get(self.metric, math.nan)
        return -abs(value) if self.distance else value


class Reading(NamedTuple):
    """About how many tokens an evaluation scores and generates."""

    scored: float
    generated: float


class Suite(Settings):
    """The settings of a suite; each kind of suite declares its own."""

    kind: str
    aims: ClassVar[tuple[Aim, Aim] | None] = None
    """The score for closeness to Retrain and the score for utility; None if trajectories and selections cannot use the suite."""
    compares_with: ClassVar[tuple[str, ...]] = ()
    """The inputs of the stage `scores` that the metrics need: `original`, `retrain`, and `other_retrains` with other seeds."""

    judged: ClassVar[Mapping[str, Literal["forget", "retain"]]] = {}
    """The sets of questions whose answers a judge can read, each as answers on the forget or the retain set."""

    scored: ClassVar[tuple[str, ...]] = ()
    """The settings that only the scores read (`Scoring.complete`): a change of them evaluates no model again."""

    @property
    def measured(self) -> "Suite":
        """The suite as an evaluation reads it, with the defaults of the settings that only the scores read."""
        return type(self).model_validate(self.model_dump(exclude=set(self.scored)))

    @property
    def scoring_settings(self) -> dict[str, Any]:
        """The settings that only the scores read."""
        return self.model_dump(include=set(self.scored))

    models: ClassVar[tuple[str, ...]] = ()
    """The models of the run that the suite reads besides the evaluated one: `original`, `retrain`."""

    def hash_own_files(self) -> dict[str, str]:
        """Return the sha256 of each file of the user's own that the suite reads; raises UserError if one is missing."""
        return {}

    def reading(self, forget: float, everything: float, item: float) -> Reading:
        """Return about how much an evaluation reads, for the plan of a study.

        `forget` and `everything` are tokens of the forget set and of the whole training set, `item` of one question.
        """
        return Reading(scored=forget, generated=0)
