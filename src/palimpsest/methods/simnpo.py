"""SimNPO: NPO without a reference model, the reward normalised by the answer's length."""

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
    """How strongly the loss saturates with the NLL a token; towards 0 it becomes that of W-GradDiff."""
    gamma: Finite = 0.0
    """Margin that the scaled NLL a token is to exceed; the paper's, not multiplied by beta."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return -(2/beta) log sigmoid(beta NLL_i / |y|_i - gamma) (SimNPO, eq. 5; gamma as there, not times beta)."""
        from torch.nn.functional import logsigmoid

        return -2 / self.beta * logsigmoid(self.beta * batch.nll / batch.tokens - self.gamma)
