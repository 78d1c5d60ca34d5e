"""Editing: compute a model's weights from its own or other models' weights, without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from palimpsest.errors import Diverged

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def edit_model(model: nn.Module, others: Mapping[str, nn.Module], edit: Callable[[Tensor, Mapping[str, Tensor]], Tensor]) -> bool:
    """Replace each weight in place by `edit(weight, weights of the other models)`; return whether any weight changed.

    Tied weights are edited once; buffers are unchanged. Raises Diverged if a weight is not finite afterwards.
    """
    has_moved = False
    for (name, weight), *same in zip(model.named_parameters(), *(each.parameters() for each in others.values()), strict=True):
        edited = edit(weight, dict(zip(others, same, strict=True)))
        if not edited.isfinite().all():
            raise Diverged(f"weight {name} is not finite")
        has_moved |= not edited.equal(weight)
        weight.copy_(edited)
    return has_moved


@torch.no_grad()
def edit_layers(model: PreTrainedModel, edit: Callable[[str, Tensor], Tensor]) -> bool:
    """Replace the weight of every linear layer except the output head in place; return whether any weight changed.

    `edit` gets the layer's name and its weight, shape (outputs, inputs). Embeddings, norms and biases are unchanged.
    """
    from transformers.pytorch_utils import Conv1D

    head, has_moved = model.get_output_embeddings(), False
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head:
            # Conv1D stores its weight as (inputs, outputs).
            weight = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
            edited = edit(name, weight)
            has_moved |= not edited.equal(weight)
            weight.copy_(edited)
    return has_moved
