"""Gradient ascent (GA): the negated mean cross-entropy of the forget answers, without a retain loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod

if TYPE_CHECKING:
    from torch import Tensor


class GA(LossMethod):
    """Gradient ascent on the forget answers, without a retain loss (TOFU, Sec. 3.2)."""

    colour = "#E69F00"
    marker = "^"
    retain_loss = "none"

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return -NLL_i / divisor, so that the mean over items is -CE (TOFU, Sec. 3.2)."""
        return -batch.nll / batch.divisor
