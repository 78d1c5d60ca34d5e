"""A model made of the weights of two, without training."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from palimpsest.errors import Diverged


@torch.no_grad()
def edit_model(model: nn.Module, other: nn.Module, edit: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """Replace each weight in place by `edit` of it and of the same one of the other model; return whether any has moved.

    Tied weights are edited once, buffers not at all. Raises Diverged where a weight is not finite afterwards.
    """
    has_moved = False
    for (name, weight), counterpart in zip(model.named_parameters(), other.parameters(), strict=True):
        edited = edit(weight, counterpart)
        if not edited.isfinite().all():
            raise Diverged(f"weight {name} is not finite")
        has_moved |= not edited.equal(weight)
        weight.copy_(edited)
    return has_moved
