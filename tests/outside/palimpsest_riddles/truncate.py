"""Truncation: drop the smallest singular values of the weights, which may undo an edit of few directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from palimpsest.attacks.base import Edit, Target

if TYPE_CHECKING:
    from torch import Tensor


class Truncate(Edit):
    """Set the smallest singular values of every linear layer to 0."""

    kind: Literal["truncate"]
    """Truncated singular values."""
    share: Annotated[float, Field(ge=0.001, le=0.999)] = 0.2
    """Share of the singular values of each layer that become 0."""

    def edited(self, name: str, weight: Tensor, target: Target) -> Tensor:
        """Return the truncated weight."""
        return truncate(weight, self.share)


def truncate(weight: Tensor, share: float) -> Tensor:
    """Return a weight without a share of its singular values, the smallest."""
    left, values, right = weight.float().svd()
    values[len(values) - round(share * len(values)) :] = 0
    truncated: Tensor = (left * values @ right.T).to(weight.dtype)
    return truncated
