"""Negative preference optimisation (NPO): DPO's loss with the forget answer as the rejected answer and no preferred answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class NPO(LossMethod):
    """Negative preference optimisation against reference log-probabilities (arXiv 2404.05868; SimNPO, eq. 3)."""

    colour = "#0072B2"
    marker = "s"
    reads_reference = True

    beta: Positive = 0.1
    """Inverse temperature: a larger beta makes the loss saturate at a smaller distance from the reference model; as beta goes to
    0, the gradient becomes GradDiff's."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return -(2/beta) log sigmoid(beta (NLL_i - NLL_i^ref)), NLL summed over tokens (SimNPO, eq. 3)."""
        from torch.nn.functional import logsigmoid

        return -2 / self.beta * logsigmoid(self.beta * (batch.nll - batch.reference_nll))
