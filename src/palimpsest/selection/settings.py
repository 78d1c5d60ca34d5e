"""By what rule one trial of a method is chosen."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.settings import Settings


class SelectionRule(Settings):
    """Among trials and epochs that keep enough model utility, the one that scores highest; of none, that with most utility."""

    maximise: Literal["forget_quality", "model_utility"] = "forget_quality"
    """What the chosen trial has most of, as a mean over seeds; ties go to the higher model utility, then to the earlier trial
    and epoch."""
    keep: Annotated[float, Field(ge=0, le=1)] = 0.95
    """The share of Original's model utility that a trial must keep."""
    epochs: Literal["all", "last"] = "all"
    """Whether a trial may be stopped after any epoch, or runs to its last."""
