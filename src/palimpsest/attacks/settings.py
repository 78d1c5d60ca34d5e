"""What an attack does."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from palimpsest.settings import Settings
from palimpsest.training.settings import TrainSettings


class RelearnSettings(Settings):
    """Fine-tune on a part of the forget set: its shortest answers, or random draws (Sec. 5, Fig. 6 of SimNPO)."""

    kind: Literal["relearn"]
    """Relearning."""
    select: Literal["shortest", "random"]
    """Which part of the forget set is relearned: the shortest answers, or a random draw."""
    fraction: Annotated[float, Field(ge=0.001, le=1)] = 0.2
    """Size of that part."""
    draws: Annotated[int, Field(ge=1, le=1000)] = 1
    """Random draws, each an attack of its own; results are their mean and spread. The shortest answers are always the same."""
    training: TrainSettings = TrainSettings(epochs=3)
    """How the part is relearned."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.select == "shortest" and self.draws > 1:
            raise ValueError(f"draws: {self.draws}: the shortest answers are the same in every draw: 1, or select: random")
        return self
