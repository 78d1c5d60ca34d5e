"""By what rule one trial of a method is chosen."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from palimpsest.settings import Settings


class Judged(NamedTuple):
    """What a suite judges a trial by: how close it comes to Retrain, and how much it is still good for."""

    closeness: str
    utility: str


TOFU, MUSE = Judged("forget_quality", "model_utility"), Judged("privacy", "knowmem_r")


class SelectionRule(Settings):
    """Among trials and epochs that keep enough utility, the one that scores highest; of none, that with most utility.

    Utility is the model utility of a suite of kind tofu, and of kind muse what is known of the retain set, `knowmem_r`.
    """

    maximise: Literal["forget_quality", "model_utility", "privacy", "knowmem_r"] = "forget_quality"
    """What the chosen trial has most of, as a mean over seeds; ties go to the higher utility, then to the earlier trial and
    epoch. The first two are of suites of kind tofu, the others of kind muse; the smaller |PrivLeak|, the more privacy."""
    keep: Annotated[float, Field(ge=0, le=1)] = 0.95
    """The share of Original's utility that a trial must keep."""
    epochs: Literal["all", "last"] = "all"
    """Whether a trial may be stopped after any epoch, or runs to its last."""

    @property
    def judged(self) -> Judged:
        """The two scores of the suite whose score is maximised."""
        return TOFU if self.maximise in TOFU else MUSE
