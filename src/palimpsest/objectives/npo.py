"""Negative preference optimisation (NPO): DPO's loss with the forget answer as the rejected one and no preferred one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


def forget_loss(nll: Tensor, reference_nll: Tensor, *, beta: Positive = 0.1) -> Tensor:
    """Return -(2/beta) log sigmoid(beta (NLL_i - NLL_i^ref)), NLL summed over tokens (SimNPO, eq. 3)."""
    from torch.nn.functional import logsigmoid

    return -2 / beta * logsigmoid(beta * (nll - reference_nll))
