"""Pruning: set the smallest weights to 0, which may undo an edit that moved them a little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from palimpsest.attacks.base import Attack, Target

if TYPE_CHECKING:
    from torch import Tensor


class Prune(Attack):
    """Set the weights of smallest magnitude to 0, matrix by matrix."""

    gives_model = True

    kind: Literal["prune"]
    """Magnitude pruning."""
    share: Annotated[float, Field(ge=0.001, le=0.999)] = 0.2
    """Share of the weights of each matrix that become 0."""

    def attack(self, target: Target) -> None:
        """Prune every matrix in place; vectors stay."""
        import torch

        with torch.no_grad():
            for weight in target.model.parameters():
                if weight.dim() > 1:
                    prune(weight, self.share)
        target.watch(1)


def prune(weight: Tensor, share: float) -> None:
    """Set a share of a weight's entries to 0 in place, those of smallest magnitude."""
    count = round(share * weight.numel())
    smallest = weight.abs().flatten().topk(count, largest=False).indices
    weight.view(-1)[smallest] = 0
