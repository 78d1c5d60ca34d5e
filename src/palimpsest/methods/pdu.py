"""PDU: flatten the logits of the forget answers, as far as the retain loss stays below a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Positive, Weight

if TYPE_CHECKING:
    from torch import Tensor


class PDU(LossMethod):
    """Primal-dual unlearning: flat logits under a limit on the retain loss (arXiv 2506.05314)."""

    colour = "#0369A1"
    marker = "_"
    reads_logits = True
    adapts_retain_weight = True
    retain_losses = ("ce", "kl")

    epsilon: Weight = 0.3
    """The limit of the retain loss, in nats: some way above the original's own."""
    dual_step: Positive = 1.0
    """How much the retain weight grows in a step for each nat that the retain loss is above its limit."""
    dual_warmup: Annotated[int, Field(ge=0, le=10_000)] = 5
    """Epochs in which the retain weight stays at `retain_weight`."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the token mean of (max_k l_k - mean_k l_k)^2, over the logits that predict the answer."""
        margins = (batch.logits.amax(-1) - batch.logits.mean(-1)).square()
        return batch.per_answer(margins) / batch.divisor

    def next_retain_weight(self, weight: float, retain_loss: float, epoch: int) -> float:
        """Return max(0, lambda + eta (L_r - epsilon)): projected gradient ascent on the dual variable."""
        if epoch < self.dual_warmup:
            return weight
        return max(0.0, weight + self.dual_step * (retain_loss - self.epsilon))
