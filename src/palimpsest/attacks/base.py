"""What an attack is: a class whose fields are its settings, and what it does to a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from palimpsest.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from palimpsest.data.prompts import Encoded
    from palimpsest.data.rows import Question
    from palimpsest.models.settings import UsedSettings
    from palimpsest.provenance.manifest import Remark
    from palimpsest.training.settings import TrainSettings


@dataclass(frozen=True)
class Target:
    """A model under attack, and what the attacker has.

    `items` are those of the forget set that this draw uses, `seed` is the seed of the model's run. `watch`
    is called with the number of each step after it, from 1: the stage then measures the model. What a reader of the numbers
    should know goes to `remark`; `label` stands before a line of progress.
    """

    model: PreTrainedModel
    used: UsedSettings
    items: Sequence[Encoded]
    seed: int
    label: str
    watch: Callable[[int], None]
    remark: Callable[[Remark], None]


class Attack(Settings, ABC):
    """What is tried on an unlearned model to bring back what it forgot; Retrain, which never knew it, is the control."""

    gives_model: ClassVar[bool] = False
    """Whether the attacked model is kept, and evaluated by all suites of the block."""

    kind: str
    """The attack, by its name."""

    @property
    def number_of_draws(self) -> int:
        """How many times it is done, each time by chance."""
        return 1

    @property
    def trains(self) -> tuple[TrainSettings, float] | None:
        """How a draw trains, and on which share of the forget set; None where it trains nothing."""
        return None

    def drawn(self, forget: Sequence[Question], seed: int) -> list[list[int]]:
        """Return for each draw the items of the forget set that it uses, by their place in it; by default none."""
        return [[]] * self.number_of_draws

    @abstractmethod
    def attack(self, target: Target) -> None:
        """Change the model in place."""
