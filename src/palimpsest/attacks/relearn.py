"""Relearning: fine-tune on a part of the forget set, or on other data, and measure how fast the forget set comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from palimpsest.attacks.base import Attack, Draws, Held, Target
from palimpsest.streams import seed_of_draw, stream
from palimpsest.training.settings import TrainSettings


class Relearn(Attack):
    """Fine-tune on a part of the forget set (SimNPO, Sec. 5 and Fig. 6), or on other data (arXiv 2406.13356)."""

    kind: Literal["relearn"]
    """Relearning."""
    data: Held = "forget"
    """What the attacker has: the forget set; or, for benign fine-tuning, the retain set or questions about something else
    (`other`: in TOFU the real authors and world facts)."""
    select: Literal["shortest", "random"]
    """The part of it that the model learns: the shortest answers or chunks, or a random draw."""
    fraction: Annotated[float, Field(ge=0.001, le=1)] = 0.2
    """Size of that part as a fraction of the whole."""
    draws: Draws = 1
    """Number of random draws; each is a separate attack, and results are their mean and spread. Only for `select: random`."""
    training: TrainSettings = TrainSettings(epochs=3)
    """Training settings of relearning."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.select == "shortest" and self.draws > 1:
            raise ValueError(f"draws: {self.draws}: the shortest answers are the same in every draw; use 1, or select: random")
        # Between the last whole epoch and this step nothing would be measured.
        if self.training.max_steps is not None:
            raise ValueError(f"training: max_steps: {self.training.max_steps}: relearning is measured by epochs; use null")
        return self

    @property
    def number_of_draws(self) -> int:
        """The number of draws."""
        return self.draws

    @property
    def has(self) -> Held:
        """The set that the attacker has."""
        return self.data

    @property
    def trains(self) -> tuple[TrainSettings, float]:
        """The training settings of a draw and the fraction of its set it trains on."""
        return self.training, self.fraction

    def drawn(self, lengths: Sequence[int], seed: int) -> list[list[int]]:
        """Return the sorted indices of the items that each draw learns.

        The shortest items (of equally short ones, the earlier) are the same for all draws. Random draws have the same size, each
        from a random stream of its own.
        """
        size = max(1, round(self.fraction * len(lengths)))
        if self.select == "shortest":
            shortest = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))[:size]
            return [sorted(shortest)] * self.draws
        draws = (stream(seed, "relearn", draw).choice(len(lengths), size, replace=False) for draw in range(self.draws))
        return [sorted(draw.tolist()) for draw in draws]

    def attack(self, target: Target) -> None:
        """Fine-tune the model on the target's items and measure it after every epoch; merge the adapters of a kept model."""
        from palimpsest import processes
        from palimpsest.models.merging import merge_adapters
        from palimpsest.training.adapters import add_adapters
        from palimpsest.training.loop import train
        from palimpsest.training.problems import FineTuning

        used, seed = target.used, seed_of_draw(target.seed, target.draw)
        model = add_adapters(target.model, used.lora, seed)
        problem = FineTuning(list(target.items))
        train(model, problem, self.training, used, seed=seed, label=target.label, after_epoch=target.watch, remark=target.remark)
        # Of several processes, the main one has all weights.
        if self.keep_model and processes.is_main():
            merge_adapters(model)
