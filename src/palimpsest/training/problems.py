"""Training problems: for the items of a step, a problem returns the terms of the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from palimpsest.data.prompts import Encoded
from palimpsest.errors import UserError
from palimpsest.models.packing import Pass, label_divergence, label_logits
from palimpsest.training.layers import TrainedLayers, item_means
from palimpsest.training.settings import MeanOver


@dataclass(frozen=True)
class Scored:
    """A forward pass over some items of a term, with NLLs and label counts of shape (items, answers), and each label's NLL."""

    items: slice
    row: Pass
    logits: Tensor
    nll: Tensor
    tokens: Tensor
    token_nll: Tensor


@dataclass(frozen=True)
class Term:
    """One term of a step's loss: `weight` times the mean over items of `loss`, which returns one value per item.

    If it has the `indices` of its items, the log records their gradient weights, -d loss / d NLL of the item's first answer,
    unless the loss does not depend on this NLL.

    With a `radius`, its gradient is taken where the weights have moved this far up it (sharpness-aware minimisation). If it
    `yields`, the part of its gradient that opposes the gradient of the other terms is left out.

    With `adapt`, its weight after the first step comes from the log's entry of the step before, and the log has it as
    `NAME_weight`.
    """

    name: str
    weight: float
    items: Sequence[Encoded]
    loss: Callable[[Scored], Tensor]
    indices: Sequence[int] | None = None
    radius: float | None = None
    yields: bool = False
    adapt: Callable[[Mapping[str, Any]], float] | None = None


class Problem(Protocol):
    """A training problem; an epoch has `size` items."""

    size: int

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return the loss terms of one optimiser step over the items with these indices."""
        ...


def divisors(items: Sequence[Encoded], over: MeanOver = "tokens", answer: int = 0) -> Tensor:
    """Return what divides the summed losses of an answer's tokens, so that the mean over items is a mean over `over`.

    Shape (items,): the mean number of labels of the items, or with `items` each item's own number.
    """
    labels = torch.tensor([len(item.answers[answer]) for item in items], dtype=torch.float64)
    return labels if over == "items" else labels.mean().expand_as(labels)


def cross_entropy(items: Sequence[Encoded], over: MeanOver = "tokens") -> Callable[[Scored], Tensor]:
    """Return the loss whose mean over items is the mean cross-entropy of their first answers, over all tokens or over items."""
    divisor = divisors(items, over)
    return lambda scored: scored.nll[:, 0] / divisor[scored.items].to(scored.nll)


def kl_to(reference: nn.Module, items: Sequence[Encoded], over: MeanOver = "tokens") -> Callable[[Scored], Tensor]:
    """Return the loss whose mean over items is the mean KL(reference || model) on their first answers, as `cross_entropy`."""
    divisor = divisors(items, over)

    def loss(scored: Scored) -> Tensor:
        summed = scored.row.per_answer(label_divergence(frozen_logits(reference, scored.row), scored.logits))
        return summed / divisor[scored.items].to(summed)

    return loss


def distance_from_start(layers: TrainedLayers, items: Sequence[Encoded]) -> Callable[[Scored], Tensor]:
    """Return the loss per item: the mean squared distance of its activations from the start model's (WMDP, Sec. 4)."""

    def loss(scored: Scored) -> Tensor:
        moved = layers.activations(scored.row) - layers.start_activations(scored.row)
        return item_means(moved.square().mean(-1), items[scored.items])

    return loss


@torch.no_grad()
def frozen_logits(model: nn.Module, row: Pass) -> Tensor:
    """Return the label logits of a frozen model."""
    return label_logits(model, row)


class FineTuning:
    """Fine-tuning: cross-entropy of every item's answer."""

    def __init__(self, items: Sequence[Encoded]) -> None:
        if not items:
            raise UserError("training: nothing to learn: the set has no rows, or only empty texts")
        self.items = items
        self.size = len(items)

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return the only term, cross-entropy."""
        batch = [self.items[i] for i in indices]
        return [Term("loss", 1.0, batch, cross_entropy(batch))]
