"""DPO-IDK: direct preference optimisation with a random refusal preferred over the forget answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class DPOIDK(LossMethod):
    """Direct preference optimisation of a refusal over the forget answer (TOFU, Sec. 3.2)."""

    label = "DPO-IDK"
    colour = "#882255"
    marker = "X"
    reads_reference = True
    reads_refusals = True

    beta: Positive = 0.1
    """Inverse temperature: a larger beta makes the loss saturate at a smaller distance from the reference model."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return -(2/beta) log sigmoid(beta ((logp - logp_ref)(refusal) - (logp - logp_ref)(answer))), summed over tokens."""
        from torch.nn.functional import logsigmoid

        refusal_gain = batch.refusal_reference_nll - batch.refusal_nll
        answer_gain = batch.reference_nll - batch.nll
        return -2 / self.beta * logsigmoid(self.beta * (refusal_gain - answer_gain))
