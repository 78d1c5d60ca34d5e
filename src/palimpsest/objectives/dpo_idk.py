"""DPO-IDK: direct preference optimisation that prefers a random refusal to the forget answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


def forget_loss(
    nll: Tensor, reference_nll: Tensor, refusal_nll: Tensor, refusal_reference_nll: Tensor, *, beta: Positive = 0.1
) -> Tensor:
    """Return -(2/beta) log sigmoid(beta ((logp - logp_ref)(refusal) - (logp - logp_ref)(answer))), summed over tokens."""
    from torch.nn.functional import logsigmoid

    refusal_gain = refusal_reference_nll - refusal_nll
    answer_gain = reference_nll - nll
    return -2 / beta * logsigmoid(beta * (refusal_gain - answer_gain))
