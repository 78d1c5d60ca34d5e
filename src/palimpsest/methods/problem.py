"""The training objective of a method: its forget loss on forget items plus a retain loss on retain items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from palimpsest.data.prompts import Encoded
from palimpsest.errors import UserError
from palimpsest.methods.base import ForgetBatch, LayerMethod, LossMethod
from palimpsest.streams import stream
from palimpsest.training.layers import TrainedLayers, item_means
from palimpsest.training.problems import Scored, Term, cross_entropy, distance_from_start, divisors, frozen_logits, kl_to
from palimpsest.training.settings import UnlearnSettings


class Unlearning:
    """The forget loss of a method plus a retain loss on equally many retain items, drawn as `retain_pairing` says.

    `others` are the other answers to each forget question that the method reads, equally many for each: all refusals, or the
    alternatives to its answer. `references` is the reference model's NLL of each forget answer, `other_references` its NLL of
    each of the others. `original` is the frozen start model, which the retain loss `kl` reads; `frozen` are the further models
    that the method declares; `layers` are the layers that a LayerMethod trains. Arguments that neither loss reads can be left
    out. Raises UserError if a set that they read is empty.
    """

    def __init__(
        self,
        method: LossMethod | LayerMethod,
        settings: UnlearnSettings,
        *,
        forget: Sequence[Encoded],
        retain: Sequence[Encoded],
        others: Sequence[Sequence[list[int]]] = (),
        references: Sequence[float] = (),
        other_references: Sequence[Sequence[float]] = (),
        original: nn.Module | None = None,
        frozen: Mapping[str, nn.Module] | None = None,
        layers: TrainedLayers | None = None,
        seed: int,
    ) -> None:
        needed = {
            "forget set": (True, forget),
            "retain set, which the retain loss reads,": (settings.retain_loss != "none", retain),
            "set of refusals, which the method teaches,": (method.reads_refusals, others and others[0]),
        }
        for name, (is_read, items) in needed.items():
            if is_read and not items:
                raise UserError(f"training: the {name} has no rows, or only empty texts")
        self.method, self.settings = method, settings
        self.forget, self.retain, self.others = forget, retain, others
        self.references, self.other_references = references, other_references
        self.original, self.frozen, self.layers = original, frozen or {}, layers
        self.seed = seed
        self.size = len(forget)

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return the forget term and, unless the retain loss is `none`, the retain term."""
        if isinstance(self.method, LayerMethod):
            terms = [self._activation_term(self.method, indices)]
        else:
            terms = [self._answer_term(self.method, indices, step)]
        yields = self.settings.gradients == "projected"
        terms = [replace(term, radius=self.settings.sharpness, yields=yields) for term in terms]
        if self.settings.retain_loss != "none":
            terms.append(self._retain_term(indices, step))
        return terms

    def _activation_term(self, method: LayerMethod, indices: Sequence[int]) -> Term:
        layers, batch = self._layers(), [self.forget[index] for index in indices]

        def loss(scored: Scored) -> Tensor:
            activations = layers.activations(scored.row)
            return item_means(method.forget_loss(activations, layers.direction.to(activations)), batch[scored.items])

        return Term("forget_loss", self.settings.forget_weight, batch, loss)

    def _answer_term(self, method: LossMethod, indices: Sequence[int], step: int) -> Term:
        drawn: list[int] = []
        if other := method.other_answers():
            drawn = stream(self.seed, f"{other}s", step).integers(len(self.others[0]), size=len(indices)).tolist()
        batch = []
        for position, index in enumerate(indices):
            answers = list(self.forget[index].answers) if method.reads_answers else []
            if other:
                answers.append(self.others[index][drawn[position]])
            batch.append(Encoded(self.forget[index].prompt, answers))
        # Values per item.
        given: dict[str, Tensor] = {}
        over = self.settings.mean_over
        if method.reads_answers:
            given["divisor"] = divisors(batch, over)
        if other:
            given[f"{other}_divisor"] = divisors(batch, over, answer=-1)
        if method.reads_reference:
            given["reference_nll"] = torch.tensor([self.references[index] for index in indices])
        if method.reads_reference and other:
            pairs = zip(indices, drawn, strict=True)
            given[f"{other}_reference_nll"] = torch.tensor([self.other_references[index][number] for index, number in pairs])

        def loss(scored: Scored) -> Tensor:
            values: dict[str, Any] = {name: value[scored.items].to(scored.nll) for name, value in given.items()}
            if method.reads_answers:
                values |= {"nll": scored.nll[:, 0], "tokens": scored.tokens[:, 0]}
            if other:
                values |= {f"{other}_nll": scored.nll[:, -1], f"{other}_tokens": scored.tokens[:, -1]}
            if method.reads_token_nll:
                values["token_nll"] = scored.token_nll
            if method.reads_logits:
                values |= {"logits": scored.logits.float(), "labels": scored.row.labels}
            frozen = {name: frozen_logits(self.frozen[name], scored.row).float() for name in method.models}
            return method.forget_loss(ForgetBatch(**values, frozen=frozen, per_answer=scored.row.per_answer))

        return Term("forget_loss", self.settings.forget_weight, batch, loss, indices if method.reads_answers else None)

    def _retain_term(self, indices: Sequence[int], step: int) -> Term:
        batch = [self.retain[drawn] for drawn in self._drawn(indices, step)]
        if self.settings.retain_loss == "kl":
            assert self.original is not None
            loss = kl_to(self.original, batch, self.settings.mean_over)
        elif self.settings.retain_loss == "activations":
            loss = distance_from_start(self._layers(), batch)
        else:
            loss = cross_entropy(batch, self.settings.mean_over)
        adapt = self._next_retain_weight if self.method.adapts_retain_weight else None
        return Term("retain_loss", self.settings.retain_weight, batch, loss, adapt=adapt)

    def _next_retain_weight(self, entry: Mapping[str, Any]) -> float:
        assert isinstance(self.method, LossMethod)
        return self.method.next_retain_weight(entry["retain_loss_weight"], entry["retain_loss"], entry["epoch"])

    def _drawn(self, indices: Sequence[int], step: int) -> list[int]:
        """Return the retain items of a step: new ones, or for each forget item always the same one."""
        known, size = len(self.retain), len(indices)
        if self.settings.retain_pairing == "fixed":
            return [int(stream(self.seed, "retain of", index).integers(known)) for index in indices]
        draws: list[int] = stream(self.seed, "retain", step).choice(known, size=size, replace=size > known).tolist()
        return draws

    def _layers(self) -> TrainedLayers:
        assert self.layers is not None
        return self.layers
