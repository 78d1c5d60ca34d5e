"""The rule that selects one trial of a method."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from palimpsest.benchmarks.suites import SETTINGS
from palimpsest.evaluation.suite import Aim
from palimpsest.settings import Settings

# For each score, the two scores of the kind of suite that gives it.
AIMS = {aim.name: aims for suite in SETTINGS.values() if (aims := suite.aims) for aim in aims}
_GIVEN = "; ".join(
    f"suites of kind {kind} give {' and '.join(aim.name for aim in suite.aims)}" for kind, suite in SETTINGS.items() if suite.aims
)
_MEANING = (
    "The score to maximise, as a mean over runs. Ties go to the higher utility, then to the earlier trial and epoch."
    f" Available scores: {_GIVEN}."
)


class Criteria(NamedTuple):
    """The scores by which a selection compares trials: how close it comes to Retrain, and how useful it still is."""

    closeness: str
    utility: str


def _aim(name: str) -> str:
    if name not in AIMS:
        raise ValueError(f"{name!r}: allowed are {', '.join(AIMS)}")
    return name


class SelectionRule(Settings):
    """Select the highest score among the trials and epochs that keep enough utility; if none does, the highest utility."""

    maximise: Annotated[str, AfterValidator(_aim), Field(description=_MEANING, json_schema_extra={"enum": list(AIMS)})] = (
        "forget_quality"
    )
    keep: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Fraction of Original's utility that a trial must keep."""
    epochs: Literal["all", "last"] = "all"
    """`all`: each epoch of a trial is a candidate; `last`: only the last epoch."""

    @property
    def aims(self) -> tuple[Aim, Aim]:
        """The two scores of the suite that gives the maximised score."""
        return AIMS[self.maximise]

    @property
    def criteria(self) -> Criteria:
        """The names of the two scores."""
        return Criteria(*(aim.name for aim in self.aims))
