"""What an unlearning method is: a class whose fields are its settings, of one of three kinds.

A `LossMethod` trains all weights by a forget loss, a `LayerMethod` a few layers by their activations, an `EditMethod` trains
nothing and edits weights. A field is a setting, with a default and a type of `palimpsest.settings` that bounds it; the line below
it documents it. What a method needs beside the forget set it declares by class variables.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from palimpsest.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

# In place of what a method does not declare that it reads.
NOT_DECLARED: Any = None


@dataclass(frozen=True)
class Start:
    """The model that unlearning starts from, as it was before."""


@dataclass(frozen=True)
class Finetuned:
    """The start model after more fine-tuning on a set of the split: on `forget`, the reinforced model."""

    on: Literal["forget"] = "forget"


@dataclass(frozen=True, kw_only=True)
class ForgetBatch:
    """What a forget loss may read of some items of an optimiser step. NLLs are summed over an answer's tokens, in nats.

    nll, tokens: (items,), of the forget answers; `tokens` are their numbers of tokens, EOS included.
    mean_tokens: (), the mean of `tokens` over the whole step, which makes a token mean exact under gradient accumulation.
    reference_nll: (items,), of the reference model; with `reads_reference`.
    refusal_nll, refusal_tokens, mean_refusal_tokens, refusal_reference_nll: the same of a random refusal of each item; with
    `reads_refusals`.
    logits: (labels, vocabulary), of every token of the answers, in single precision; with `reads_logits`.
    frozen: the same of the frozen models that `models` declares, by their names there.
    per_answer: sums values of shape (labels,) over the labels of each answer, to (items,).

    What the method does not declare is None; without `reads_answers`, so are `nll`, `tokens` and `mean_tokens`.
    """

    nll: Tensor = NOT_DECLARED
    tokens: Tensor = NOT_DECLARED
    mean_tokens: Tensor = NOT_DECLARED
    reference_nll: Tensor = NOT_DECLARED
    refusal_nll: Tensor = NOT_DECLARED
    refusal_tokens: Tensor = NOT_DECLARED
    mean_refusal_tokens: Tensor = NOT_DECLARED
    refusal_reference_nll: Tensor = NOT_DECLARED
    logits: Tensor = NOT_DECLARED
    frozen: Mapping[str, Tensor] = field(default_factory=dict)
    per_answer: Callable[[Tensor], Tensor] = NOT_DECLARED


class Method(Settings, ABC):
    """A method of any kind, and what it declares."""

    label: ClassVar[str]
    """What tables and figures call it: the name of its class, unless the class says otherwise."""
    colour: ClassVar[str] = "#AA4499"
    marker: ClassVar[str] = "8"
    """In figures, as matplotlib has them."""
    is_trained: ClassVar[bool] = True
    """Whether it trains a model, and so has epochs."""
    models: ClassVar[Mapping[str, Start | Finetuned]] = {}
    """The further models that it reads, by the names that it gives them."""
    reads_answers: ClassVar[bool] = True
    """Whether it reads the forget answers."""
    reads_reference: ClassVar[bool] = False
    """Whether it reads reference log-probabilities, which are computed once, ahead of training."""
    reads_refusals: ClassVar[bool] = False
    """Whether it reads a refusal beside each forget answer."""
    reads_logits: ClassVar[bool] = False
    """Whether it reads logits of the model that unlearns; it reads those of the models that it declares."""
    retain_losses: ClassVar[tuple[str, ...]] = ("ce", "kl", "none")
    """The retain losses that it can have."""
    retain_loss: ClassVar[str] = "ce"
    """The retain loss that it has by default."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.label = vars(cls).get("label", cls.__name__)

    @classmethod
    def needs(cls, kind: type[Start | Finetuned]) -> bool:
        """Return whether it reads a further model of this kind."""
        return any(isinstance(model, kind) for model in cls.models.values())


class LossMethod(Method):
    """A method that trains the model by a loss on the forget answers."""

    @abstractmethod
    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return one loss an item, (items,), whose mean over the items of a step is minimised."""


class LayerMethod(Method):
    """A method that trains the MLP down-projections of a few decoder layers, by the activations of the last of these layers."""

    retain_losses = ("activations", "none")
    retain_loss = "activations"

    @property
    @abstractmethod
    def layers(self) -> range:
        """The layers that are trained, counted from 0."""

    @abstractmethod
    def forget_loss(self, activations: Tensor, direction: Tensor) -> Tensor:
        """Return one loss a token, (tokens,), whose mean over an item's tokens, and then over items, is minimised.

        `activations`, (tokens, width), are what the last layer puts out at every token of prompt and answer; `direction`,
        (width,), is a unit vector drawn from the seed.
        """


class EditMethod(Method):
    """A method that trains nothing and computes each weight of the unlearned model from weights of others."""

    is_trained = False
    retain_losses = ("none",)
    retain_loss = "none"

    @abstractmethod
    def edit(self, start: Tensor, others: Mapping[str, Tensor]) -> Tensor:
        """Return a weight, given that of the start model and those of the further models by their names in `models`."""
