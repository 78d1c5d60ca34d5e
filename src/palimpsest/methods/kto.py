"""KTO: the forget answers as undesirable outputs, against what the model does with refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class KTO(LossMethod):
    """The loss of undesirable outputs of Kahneman-Tversky optimisation (arXiv 2402.01306)."""

    colour = "#4D7C0F"
    marker = "|"
    reads_reference = True
    reads_refusals = True

    beta: Positive = 0.1
    """Inverse temperature: a larger beta makes the loss saturate at a smaller distance from the reference model."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return (2/beta) (1 - sigmoid(beta (z - r))), with r = log p / p_ref of the answer and z = max(0, r of the refusal).

        No gradient passes through the reference point z.
        """
        gain = batch.reference_nll - batch.nll
        point = (batch.refusal_reference_nll - batch.refusal_nll).detach().clamp(min=0)
        return 2 / self.beta * (self.beta * (gain - point)).sigmoid()
