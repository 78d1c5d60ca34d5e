"""The base classes of unlearning methods. The fields of a class are the settings of the method.

There are three kinds: a `LossMethod` trains all weights with a forget loss, a `LayerMethod` trains a few layers with a loss on
their activations, and an `EditMethod` edits weights without training. Each setting has a default, a bounded type of
`palimpsest.settings`, and a description in the string below it. Class variables declare what a method needs besides the forget
set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from palimpsest.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

# The value of every field that the method does not declare.
NOT_DECLARED: Any = None
# The other answers to the forget questions that a method may read.
OtherAnswers = Literal["", "refusal", "alternative"]


@dataclass(frozen=True)
class Start:
    """A frozen copy of the model that unlearning starts from."""


@dataclass(frozen=True)
class Finetuned:
    """The reinforced model: the start model after more fine-tuning on the forget set."""


@dataclass(frozen=True, kw_only=True)
class ForgetBatch:
    """The inputs of a forget loss for some items of an optimiser step. NLLs are in nats, summed over the tokens of an answer.

    nll, tokens: (items,), of the forget answers; `tokens` counts their tokens, including EOS.
    divisor: (items,), what divides an NLL so that the mean over the items of the step is a cross-entropy: the mean of `tokens`
    over the whole step, or with `mean_over: items` the `tokens` of the item.
    reference_nll: (items,), NLL under the reference model; needs `reads_reference`.
    refusal_nll, refusal_tokens, refusal_divisor, refusal_reference_nll: the same for a random refusal of each item; needs
    `reads_refusals`.
    alternative_nll, alternative_tokens, alternative_divisor, alternative_reference_nll: the same for a random one of the
    alternatives to each item's answer; needs `reads_alternatives`.
    token_nll: (labels,), NLL of every token of the answers; needs `reads_token_nll`.
    logits: (labels, vocabulary), for every token of the answers, in single precision; needs `reads_logits`.
    labels: (labels,), the tokens of the answers, which these logits predict; needs `reads_logits`.
    frozen: the same logits from the frozen models in `models`, by their names there.
    per_answer: sums values of shape (labels,) over the labels of each answer, to shape (items,).

    Fields that the method does not declare are None; without `reads_answers`, so are `nll`, `tokens` and `divisor`.
    """

    nll: Tensor = NOT_DECLARED
    tokens: Tensor = NOT_DECLARED
    divisor: Tensor = NOT_DECLARED
    reference_nll: Tensor = NOT_DECLARED
    refusal_nll: Tensor = NOT_DECLARED
    refusal_tokens: Tensor = NOT_DECLARED
    refusal_divisor: Tensor = NOT_DECLARED
    refusal_reference_nll: Tensor = NOT_DECLARED
    alternative_nll: Tensor = NOT_DECLARED
    alternative_tokens: Tensor = NOT_DECLARED
    alternative_divisor: Tensor = NOT_DECLARED
    alternative_reference_nll: Tensor = NOT_DECLARED
    token_nll: Tensor = NOT_DECLARED
    logits: Tensor = NOT_DECLARED
    labels: Tensor = NOT_DECLARED
    frozen: Mapping[str, Tensor] = field(default_factory=dict)
    per_answer: Callable[[Tensor], Tensor] = NOT_DECLARED


class Method(Settings, ABC):
    """A method of any kind, with its declarations."""

    label: ClassVar[str]
    """The name in tables and figures; by default the name of the class."""
    colour: ClassVar[str] = "#AA4499"
    marker: ClassVar[str] = "8"
    """Colour and marker in figures, in matplotlib's notation."""
    is_trained: ClassVar[bool] = True
    """Whether the method trains, and so has epochs."""
    models: ClassVar[Mapping[str, Start | Finetuned]] = {}
    """Further models that the method needs, by names of its own choice."""
    reads_answers: ClassVar[bool] = True
    """Whether the method reads the forget answers."""
    reads_reference: ClassVar[bool] = False
    """Whether the method reads reference log-probabilities, which are computed once before training."""
    reads_refusals: ClassVar[bool] = False
    """Whether the method reads a random refusal for each forget question."""
    reads_alternatives: ClassVar[bool] = False
    """Whether the method reads answers to the forget questions that the start model made up, which a stage samples before."""
    reads_token_nll: ClassVar[bool] = False
    """Whether the method reads the NLL of every token."""
    reads_logits: ClassVar[bool] = False
    """Whether the method reads the logits of the model in training and of the models that it declares."""
    adapts_retain_weight: ClassVar[bool] = False
    """Whether the weight of the retain loss changes from step to step; `retain_weight` of the settings is then the first."""
    retain_losses: ClassVar[tuple[str, ...]] = ("ce", "kl", "none")
    """The retain losses that the method allows."""
    retain_loss: ClassVar[str] = "ce"
    """The default retain loss."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.label = vars(cls).get("label", cls.__name__)
        if cls.reads_refusals and cls.reads_alternatives:
            raise TypeError(f"{cls.__name__}: a method reads refusals or alternatives, not both")

    @classmethod
    def other_answers(cls) -> OtherAnswers:
        """Return what the method reads as another answer to each forget question; empty if nothing."""
        return "refusal" if cls.reads_refusals else "alternative" if cls.reads_alternatives else ""

    @classmethod
    def needs(cls, kind: type[Start | Finetuned]) -> bool:
        """Return whether the method needs a further model of this kind."""
        return any(isinstance(model, kind) for model in cls.models.values())


class LossMethod(Method):
    """A method that trains all weights with a loss on the forget answers."""

    @abstractmethod
    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return one loss per item, shape (items,); training minimises the mean over the items of a step."""

    def next_retain_weight(self, weight: float, retain_loss: float, epoch: int) -> float:
        """Return the retain weight after a step, given its retain weight, retain loss and epoch, counted from 0.

        Called only with `adapts_retain_weight`. It depends on these numbers alone, so an interrupted run continues exactly.
        """
        return weight


class LayerMethod(Method):
    """A method that trains the MLP down-projections of a few decoder layers with a loss on the activations of the last one."""

    retain_losses = ("activations", "none")
    retain_loss = "activations"

    @property
    @abstractmethod
    def layers(self) -> range:
        """The trained layers, counted from 0."""

    @abstractmethod
    def forget_loss(self, activations: Tensor, direction: Tensor) -> Tensor:
        """Return one loss per token, shape (tokens,); training minimises the mean over each item's tokens and then over items.

        `activations`, shape (tokens, width), is the output of the last trained layer at every token of prompt and answer;
        `direction`, shape (width,), is a random unit vector drawn with the seed.
        """


class EditMethod(Method):
    """A method that does not train but computes the weights of the unlearned model from the weights of other models."""

    is_trained = False
    retain_losses = ("none",)
    retain_loss = "none"

    @abstractmethod
    def edit(self, start: Tensor, others: Mapping[str, Tensor]) -> Tensor:
        """Return a weight of the unlearned model, given the start model's weight and the further models' weights by name."""
