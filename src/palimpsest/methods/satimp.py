"""SatImp: gradient ascent on the tokens that are neither forgotten already nor predicted with certainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Exponent

if TYPE_CHECKING:
    from torch import Tensor


class SatImp(LossMethod):
    """Gradient ascent whose tokens are weighted by saturation and importance (arXiv 2505.11953)."""

    colour = "#B45309"
    marker = "+"
    reads_token_nll = True

    beta1: Exponent = 5.0
    """Saturation: the exponent of a token's probability p; tokens that are unlikely already count less."""
    beta2: Exponent = 1.0
    """Importance: the exponent of 1 - p; tokens that the model predicts with certainty count less."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the token mean of p^beta1 (1 - p)^beta2 log p, in which the powers are a weight without a gradient."""
        p = (-batch.token_nll.detach()).exp()
        return -batch.per_answer(p**self.beta1 * (1 - p) ** self.beta2 * batch.token_nll) / batch.divisor
