"""SimNPO: NPO without a reference model and with a reward normalised by the length of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.settings import Finite, Positive

if TYPE_CHECKING:
    from torch import Tensor


class SimNPO(LossMethod):
    """Negative preference optimisation of the length-normalised NLL, without a reference model (arXiv 2410.07163, eq. 5)."""

    colour = "#D55E00"
    marker = "o"

    beta: Positive = 2.5
    """Inverse temperature: a larger beta makes the loss saturate at a smaller NLL per token; as beta goes to 0, the gradient
    becomes W-GradDiff's."""
    gamma: Finite = 0.0
    """Margin that the scaled NLL per token should exceed; as in the paper, it is not multiplied by beta."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return -(2/beta) log sigmoid(beta NLL_i / |y|_i - gamma) (SimNPO, eq. 5; gamma is not multiplied by beta)."""
        from torch.nn.functional import logsigmoid

        return -2 / self.beta * logsigmoid(self.beta * batch.nll / batch.tokens - self.gamma)
