"""Weighted gradient difference (W-GradDiff): each answer's own token mean, the limit of SimNPO for beta -> 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod

if TYPE_CHECKING:
    from torch import Tensor


class WGradDiff(LossMethod):
    """Gradient ascent on each answer's own token mean, with a retain loss (SimNPO, Sec. 5)."""

    label = "W-GradDiff"
    colour = "#009E73"
    marker = "<"

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return -NLL_i / |y|_i (SimNPO, Sec. 5)."""
        return -batch.nll / batch.tokens
