"""Editing: compute a model's weights from other models' weights, without training."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from palimpsest.errors import Diverged


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
