"""Pruning: set the smallest weights to 0, which can undo an edit that moved them a little (arXiv 2402.05162)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from palimpsest.attacks.base import Edit, Target

if TYPE_CHECKING:
    from torch import Tensor


class Prune(Edit):
    """Set the weights of smallest magnitude to 0, in every linear layer except the output head (arXiv 1506.02626)."""

    kind: Literal["prune"]
    """Magnitude pruning."""
    share: Annotated[float, Field(ge=0.001, le=0.999)] = 0.2
    """Share of the weights of each layer that become 0."""

    def edited(self, name: str, weight: Tensor, target: Target) -> Tensor:
        """Return the pruned weight."""
        return without_smallest(weight, self.share)


def without_smallest(weight: Tensor, share: float) -> Tensor:
    """Return a weight in which round(share * size) entries of smallest magnitude are 0."""
    flat = weight.flatten().clone()
    flat[flat.abs().topk(round(share * flat.numel()), largest=False).indices] = 0
    return flat.view(weight.shape)
