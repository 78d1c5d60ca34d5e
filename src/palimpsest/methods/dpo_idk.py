"""DPO-IDK: direct preference optimisation with a random refusal preferred over the forget answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


def preference_loss(beta: float, preferred: Tensor, rejected: Tensor) -> Tensor:
    """Return -(2/beta) log sigmoid(beta (preferred - rejected)), (items,).

    `preferred` and `rejected` are log p - log p_ref of two answers, summed over tokens, each of shape (items,).
    """
    from torch.nn.functional import logsigmoid

    return -2 / beta * logsigmoid(beta * (preferred - rejected))


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
        """Return the loss that prefers the refusal over the answer, (items,)."""
        return preference_loss(self.beta, batch.refusal_reference_nll - batch.refusal_nll, batch.reference_nll - batch.nll)
