"""Maximum entropy: after a forget question, predict every token alike (Yuan et al., arXiv 2410.08109, Sec. 4)."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from palimpsest.methods.base import ForgetBatch, LossMethod

if TYPE_CHECKING:
    from torch import Tensor


class MaxEntropy(LossMethod):
    """Raise the entropy of the predictions on forget answers to a share of its maximum."""

    label = "Max entropy"
    reads_logits = True

    share: Annotated[float, Field(ge=0.01, le=1)] = 1.0
    """Share of the entropy of uniform predictions from which on a token counts as forgotten."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the mean entropy, in nats a token, that the predictions on each answer lack, (items,)."""
        log_probabilities = batch.logits.log_softmax(-1)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(-1)
        wanted = self.share * log(batch.logits.shape[-1])
        return batch.per_answer((wanted - entropy).clamp(min=0)) / batch.tokens
