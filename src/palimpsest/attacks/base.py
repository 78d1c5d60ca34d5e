"""The base class of attacks. The fields of a class are the settings of the attack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from palimpsest.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from palimpsest.data.prompts import Encoded
    from palimpsest.models.settings import UsedSettings
    from palimpsest.provenance.manifest import Remark
    from palimpsest.training.settings import TrainSettings


@dataclass(frozen=True)
class Target:
    """A model under attack, and the data that the attacker has.

    `items` are the items of the forget set that this draw uses; `seed` is the seed of the model. The attack calls `watch` after
    each step with its number, from 1, so that the stage can measure the model, and `remark` with anything that a reader of the
    numbers should know. `label` is the prefix of progress lines.
    """

    model: PreTrainedModel
    used: UsedSettings
    items: Sequence[Encoded]
    seed: int
    label: str
    watch: Callable[[int], None]
    remark: Callable[[Remark], None]


class Attack(Settings, ABC):
    """An attempt to recover the forgotten data from an unlearned model; Retrain, which never saw the data, is the control."""

    gives_model: ClassVar[bool] = False
    """Whether the attacked model is kept and evaluated by all suites of the block."""

    kind: str
    """The name of the attack."""

    @property
    def number_of_draws(self) -> int:
        """The number of independent random repetitions."""
        return 1

    @property
    def trains(self) -> tuple[TrainSettings, float] | None:
        """The training settings of a draw and the fraction of the forget set it trains on; None if the attack does not train."""
        return None

    def drawn(self, lengths: Sequence[int], seed: int) -> list[list[int]]:
        """Return, for each draw, the indices of the forget items that it uses; none by default.

        `lengths` are those of the answers of questions in characters, or of the chunks of a corpus in tokens.
        """
        return [[]] * self.number_of_draws

    @abstractmethod
    def attack(self, target: Target) -> None:
        """Change the model in place."""
