"""The base class of attacks. The fields of a class are the settings of the attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from palimpsest.provenance.manifest import UNMOVED, Remark
from palimpsest.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from palimpsest.data.prompts import Encoded
    from palimpsest.models.settings import UsedSettings
    from palimpsest.training.settings import TrainSettings

Draws = Annotated[int, Field(ge=1, le=1000)]
Held = Literal["forget", "retain", "other"]


@dataclass(frozen=True)
class Target:
    """A model under attack, and the data that the attacker has.

    `items` are the items of the attacker's set that this draw uses; `seed` is the seed of the model; `draw` is the number of the
    draw, from 0. The attack calls `watch` after each step with its number, from 1, so that the stage can measure the model, and
    `remark` with anything that a reader of the numbers should know. `label` is the prefix of progress lines.
    """

    model: PreTrainedModel
    used: UsedSettings
    items: Sequence[Encoded]
    seed: int
    draw: int
    label: str
    watch: Callable[[int], None]
    remark: Callable[[Remark], None]


class Attack(Settings, ABC):
    """An attempt to recover the forgotten data from an unlearned model; Retrain, which never saw the data, is the control."""

    kind: str
    """The name of the attack."""
    keep_model: bool = False
    """Whether the attacked model is kept, so that all suites of the block evaluate it; of several draws, the first."""

    @property
    def number_of_draws(self) -> int:
        """The number of independent random repetitions."""
        return 1

    @property
    def has(self) -> Held:
        """The set that the attacker has: the forget set, the retain set, or questions about something else."""
        return "forget"

    @property
    def trains(self) -> tuple[TrainSettings, float] | None:
        """The training settings of a draw and the fraction of its set it trains on; None if the attack does not train."""
        return None

    def drawn(self, lengths: Sequence[int], seed: int) -> list[list[int]]:
        """Return, for each draw, the indices of the items of its set that it uses; none by default.

        `lengths` are those of the answers of questions in characters, or of the chunks of a corpus in tokens.
        """
        return [[]] * self.number_of_draws

    @abstractmethod
    def attack(self, target: Target) -> None:
        """Change the model in place."""


class Edit(Attack, ABC):
    """An attack that changes the weights of the linear layers once, without data: embeddings and the output head stay."""

    keep_model: bool = True
    """Whether the attacked model is kept, so that all suites of the block evaluate it; of several draws, the first."""

    @abstractmethod
    def edited(self, name: str, weight: Tensor, target: Target) -> Tensor:
        """Return the new weight of a layer, shape (outputs, inputs)."""

    def attack(self, target: Target) -> None:
        """Edit the weights in place and measure the model once."""
        from palimpsest.models.editing import edit_layers

        if not edit_layers(target.model, lambda name, weight: self.edited(name, weight, target)):
            target.remark(Remark(UNMOVED, f"{target.label}: the attack {self.kind} moved no weight"))
        target.watch(1)
