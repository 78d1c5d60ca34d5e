"""Relearning: fine-tune a model on a part of the forget set and see how fast the rest comes back (SimNPO, Sec. 5 and Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from palimpsest.attacks.base import Attack, Target
from palimpsest.data.rows import Question
from palimpsest.streams import stream
from palimpsest.training.settings import TrainSettings


class Relearn(Attack):
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

    @property
    def number_of_draws(self) -> int:
        """How many times it is done."""
        return self.draws

    @property
    def trains(self) -> tuple[TrainSettings, float]:
        """How a draw trains, and on which share of the forget set."""
        return self.training, self.fraction

    def drawn(self, forget: Sequence[Question], seed: int) -> list[list[int]]:
        """Return the places of the items that each draw relearns, sorted.

        The shortest answers (in characters, the earlier item first where equal) are one set, so all its draws are alike; a
        random draw takes as many, each from a stream of its own.
        """
        size = max(1, round(self.fraction * len(forget)))
        if self.select == "shortest":
            shortest = sorted(range(len(forget)), key=lambda i: (len(forget[i].answer), i))[:size]
            return [sorted(shortest)] * self.draws
        draws = (stream(seed, "relearn", draw).choice(len(forget), size, replace=False) for draw in range(self.draws))
        return [sorted(draw.tolist()) for draw in draws]

    def attack(self, target: Target) -> None:
        """Fine-tune the model on the target's items, and watch it after every epoch."""
        from palimpsest.training.adapters import add_adapters
        from palimpsest.training.loop import train
        from palimpsest.training.problems import FineTuning

        used, seed = target.used, target.seed
        model = add_adapters(target.model, used.lora, seed)
        problem = FineTuning(list(target.items))
        train(model, problem, self.training, used, seed=seed, label=target.label, after_epoch=target.watch, remark=target.remark)
