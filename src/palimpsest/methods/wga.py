"""WGA: gradient ascent in which each token counts less, the less likely it already is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Exponent

if TYPE_CHECKING:
    from torch import Tensor


class WGA(LossMethod):
    """Gradient ascent whose tokens are weighted by a power of their probability (arXiv 2502.19301)."""

    colour = "#0F766E"
    marker = "4"
    reads_token_nll = True

    alpha: Exponent = 1.0
    """The exponent of a token's probability in its weight: at 0 this is GradDiff; a larger alpha spares unlikely tokens more."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the token mean of p^alpha log p, in which p^alpha is a weight without a gradient."""
        weights = (-self.alpha * batch.token_nll.detach()).exp()
        return -batch.per_answer(weights * batch.token_nll) / batch.divisor
