"""What the loop minimises: a problem gives, for a step's items, the terms of the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from palimpsest.data.prompts import Encoded
from palimpsest.errors import UserError
from palimpsest.models.packing import Pass, label_divergence, label_logits
from palimpsest.objectives import Objective
from palimpsest.streams import stream
from palimpsest.training.layers import TrainedLayers, item_means
from palimpsest.training.settings import UnlearnSettings


@dataclass(frozen=True)
class Scored:
    """A forward pass over some of a term's items: which they are, and (items, answers) NLLs and label counts."""

    items: slice
    row: Pass
    logits: Tensor
    nll: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class Term:
    """One term of a step's loss: `weight` times the mean over items of `loss`, which returns one value an item.

    Where it has `indices` of its items, the log keeps their gradient weights, -d loss / d NLL of the item's first answer.
    """

    name: str
    weight: float
    items: Sequence[Encoded]
    loss: Callable[[Scored], Tensor]
    indices: Sequence[int] | None = None


class Problem(Protocol):
    """Something to train on: `size` items make an epoch."""

    size: int

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return the loss terms of one optimiser step over the items with these indices."""
        ...


def mean_labels(items: Sequence[Encoded], answer: int = 0) -> float:
    """Return the mean number of labels an item: NLL over it, averaged over items, is the token-mean cross-entropy."""
    return sum(len(item.answers[answer]) for item in items) / len(items)


def cross_entropy(items: Sequence[Encoded]) -> Callable[[Scored], Tensor]:
    """Return the loss whose mean over items is the token-mean cross-entropy of their first answers."""
    mean = mean_labels(items)
    return lambda scored: scored.nll[:, 0] / mean


def kl_to(reference: nn.Module, items: Sequence[Encoded]) -> Callable[[Scored], Tensor]:
    """Return the loss whose mean over items is the token-mean KL(reference || model) on their first answers."""
    mean = mean_labels(items)
    return lambda scored: scored.row.per_answer(label_divergence(frozen_logits(reference, scored.row), scored.logits)) / mean


def distance_from_start(layers: TrainedLayers, items: Sequence[Encoded]) -> Callable[[Scored], Tensor]:
    """Return the loss of an item that is the mean square of what its activations moved from the start model's (WMDP, Sec. 4)."""

    def loss(scored: Scored) -> Tensor:
        moved = layers.activations(scored.row) - layers.start_activations(scored.row)
        return item_means(moved.square().mean(-1), items[scored.items])

    return loss


@torch.no_grad()
def frozen_logits(model: nn.Module, row: Pass) -> Tensor:
    """Return the label logits of a model that is not trained."""
    return label_logits(model, row)


class FineTuning:
    """Learn answers by heart: cross-entropy over every item's answer."""

    def __init__(self, items: Sequence[Encoded]) -> None:
        if not items:
            raise UserError("training: nothing to learn: the set has no rows, or only empty texts")
        self.items = items
        self.size = len(items)

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return the one term, cross-entropy."""
        batch = [self.items[i] for i in indices]
        return [Term("loss", 1.0, batch, cross_entropy(batch))]


class Unlearning:
    """A method's loss on forget items and a retain loss on as many retain items, drawn freshly at every step.

    `references` and `refusal_references` hold the reference model's NLL of each forget answer, and of each refusal as the
    answer of each forget question; `original` is the model that unlearning starts from and `strengthened` the same after
    further fine-tuning on the forget set, both frozen; `layers` are those that are trained where not all are, of the model that
    is. What method and retain loss do not read is not needed.
    """

    def __init__(
        self,
        objective: Objective,
        loss_settings: dict[str, float],
        settings: UnlearnSettings,
        *,
        forget: Sequence[Encoded],
        retain: Sequence[Encoded],
        refusals: Sequence[list[int]] = (),
        references: Sequence[float] = (),
        refusal_references: Sequence[Sequence[float]] = (),
        original: nn.Module | None = None,
        strengthened: nn.Module | None = None,
        layers: TrainedLayers | None = None,
        seed: int,
    ) -> None:
        needed = {
            "forget set": (True, forget),
            "retain set, which the retain loss reads,": (settings.retain_loss != "none", retain),
            "set of refusals, which the method teaches,": (objective.needs_refusals, refusals),
        }
        for name, (is_read, items) in needed.items():
            if is_read and not items:
                raise UserError(f"training: the {name} has no rows, or only empty texts")
        self.objective, self.loss_settings, self.settings = objective, loss_settings, settings
        self.forget, self.retain, self.refusals = forget, retain, refusals
        self.references, self.refusal_references = references, refusal_references
        self.original, self.strengthened, self.layers = original, strengthened, layers
        self.seed = seed
        self.size = len(forget)

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return the forget term and, where the method has one, the retain term."""
        terms = [self._forget_term(indices, step)]
        if self.settings.retain_loss != "none":
            terms.append(self._retain_term(len(indices), step))
        return terms

    def _forget_term(self, indices: Sequence[int], step: int) -> Term:
        objective = self.objective
        drawn: list[int] = []
        if objective.needs_refusals:
            drawn = stream(self.seed, "refusals", step).integers(len(self.refusals), size=len(indices)).tolist()
        batch = []
        for position, index in enumerate(indices):
            item = self.forget[index]
            answers = list(item.answers) if objective.needs_answers else []
            if objective.needs_refusals:
                answers.append(self.refusals[drawn[position]])
            batch.append(Encoded(item.prompt, answers))
        given: dict[str, Tensor] = {}
        if objective.needs_reference:
            given["reference_nll"] = torch.tensor([self.references[i] for i in indices])
        if objective.needs_reference and objective.needs_refusals:
            pairs = zip(indices, drawn, strict=True)
            given["refusal_reference_nll"] = torch.tensor([self.refusal_references[i][r] for i, r in pairs])
        if objective.needs_answers:
            given["mean_tokens"] = torch.tensor(mean_labels(batch))
        if objective.needs_refusals:
            given["mean_refusal_tokens"] = torch.tensor(mean_labels(batch, -1))

        def loss(scored: Scored) -> Tensor:
            values = {name: value[scored.items] if value.ndim else value for name, value in given.items()}
            values = {name: value.to(scored.nll) for name, value in values.items()}
            values |= {"nll": scored.nll[:, 0], "tokens": scored.tokens[:, 0]}
            values |= {"refusal_nll": scored.nll[:, -1], "refusal_tokens": scored.tokens[:, -1]}
            if objective.needs_logits:
                values |= self._logits(scored)
            if objective.needs_activations:
                values |= self._activations(scored)
            assert objective.forget_loss is not None
            result: Tensor = objective.forget_loss(*(values[name] for name in objective.inputs), **self.loss_settings)
            if objective.needs_activations:
                return item_means(result, batch[scored.items])
            return scored.row.per_answer(result) / values["mean_tokens"] if objective.needs_logits else result

        weighed = indices if objective.weighs_answers else None
        return Term("forget_loss", self.settings.forget_weight, batch, loss, weighed)

    def _logits(self, scored: Scored) -> dict[str, Tensor]:
        logits = {"logits": scored.logits.float()}
        if self.objective.needs_original:
            assert self.original is not None
            logits["original_logits"] = frozen_logits(self.original, scored.row).float()
        if self.objective.needs_strengthened:
            assert self.strengthened is not None
            logits["strengthened_logits"] = frozen_logits(self.strengthened, scored.row).float()
        return logits

    def _activations(self, scored: Scored) -> dict[str, Tensor]:
        assert self.layers is not None
        activations = self.layers.activations(scored.row)
        return {"activations": activations, "direction": self.layers.direction.to(activations)}

    def _retain_term(self, size: int, step: int) -> Term:
        draws = stream(self.seed, "retain", step).choice(len(self.retain), size=size, replace=size > len(self.retain))
        batch = [self.retain[i] for i in draws.tolist()]
        if self.settings.retain_loss == "kl":
            assert self.original is not None
            loss = kl_to(self.original, batch)
        elif self.settings.retain_loss == "activations":
            assert self.layers is not None
            loss = distance_from_start(self.layers, batch)
        else:
            loss = cross_entropy(batch)
        return Term("retain_loss", self.settings.retain_weight, batch, loss)
