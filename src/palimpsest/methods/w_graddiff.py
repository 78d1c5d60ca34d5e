"""Weighted gradient difference (W-GradDiff): gradient ascent on each answer's token mean, the limit of SimNPO for beta -> 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod

if TYPE_CHECKING:
    from torch import Tensor


class WGradDiff(LossMethod):
    """Gradient ascent on the token mean of each answer, with a retain loss (SimNPO, Sec. 5)."""

    label = "W-GradDiff"
    colour = "#009E73"
    marker = "<"

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return -NLL_i / |y|_i (SimNPO, Sec. 5)."""
        return -batch.nll / batch.tokens
