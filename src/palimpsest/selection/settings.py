"""By what rule one trial of a method is selected."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from palimpsest.benchmarks.suites import SETTINGS
from palimpsest.evaluation.suite import Aim
from palimpsest.settings import Settings

# By score, the two scores of the kind of suite that gives it.
AIMS = {aim.name: aims for suite in SETTINGS.values() if (aims := suite.aims) for aim in aims}
_GIVEN = "; ".join(
    f"suites of kind {kind} give {' and '.join(aim.name for aim in suite.aims)}" for kind, suite in SETTINGS.items() if suite.aims
)
_MEANING = (
    "The score that the selected trial has most of, as a mean over seeds; ties go to the higher utility, then to the earlier"
    f" trial and epoch; {_GIVEN}."
)


class Judged(NamedTuple):
    """The scores by which a suite judges a trial: how close it comes to Retrain, and how useful it still is."""

    closeness: str
    utility: str


def _aim(name: str) -> str:
    if name not in AIMS:
        raise ValueError(f"{name!r}: allowed are {', '.join(AIMS)}")
    return name


class SelectionRule(Settings):
    """Among trials and epochs that keep enough utility, the one that scores highest; of none, that with most utility."""

    maximise: Annotated[str, AfterValidator(_aim), Field(description=_MEANING, json_schema_extra={"enum": list(AIMS)})] = (
        "forget_quality"
    )
    keep: Annotated[float, Field(ge=0, le=1)] = 0.95
    """The share of Original's utility that a trial must keep."""
    epochs: Literal["all", "last"] = "all"
    """Whether a trial may be stopped after any epoch, or runs to its last."""

    @property
    def aims(self) -> tuple[Aim, Aim]:
        """The two scores of the suite whose score is maximised."""
        return AIMS[self.maximise]

    @property
    def judged(self) -> Judged:
        """Their names."""
        return Judged(*(aim.name for aim in self.aims))
