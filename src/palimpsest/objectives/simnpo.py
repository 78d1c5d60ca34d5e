"""SimNPO: NPO without a reference model, the reward normalised by the answer's length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.settings import Finite, Positive

if TYPE_CHECKING:
    from torch import Tensor


def forget_loss(nll: Tensor, tokens: Tensor, *, beta: Positive = 2.5, gamma: Finite = 0.0) -> Tensor:
    """Return -(2/beta) log sigmoid(beta NLL_i / |y|_i - gamma) (SimNPO, eq. 5; gamma as there, not times beta)."""
    from torch.nn.functional import logsigmoid

    return -2 / beta * logsigmoid(beta * nll / tokens - gamma)
