"""CE-U: distil the model's own prediction without the token to forget."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod

if TYPE_CHECKING:
    from torch import Tensor


class CEU(LossMethod):
    """Cross-entropy to the model's own prediction in which the token to forget has probability 0 (arXiv 2503.01224)."""

    label = "CE-U"
    colour = "#BE123C"
    marker = "1"
    reads_logits = True
    retain_loss = "none"

    skip_first: bool = True
    """Leave out the first token of each answer, which mostly belongs to the form of an answer (a footnote of the paper)."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the mean cross-entropy to the teacher over all tokens, or over all but the first one of each answer."""
        from torch import where
        from torch.nn.functional import cross_entropy

        teacher = batch.logits.detach().scatter(-1, batch.labels[:, None], -inf).softmax(-1)
        losses = cross_entropy(batch.logits, teacher, reduction="none")
        if not self.skip_first:
            return batch.per_answer(losses) / batch.divisor
        first = (batch.tokens.cumsum(0) - batch.tokens).long()
        # A step whose answers all have one token has nothing to learn: its losses are 0.
        divisor = where(batch.divisor > 1, batch.divisor - 1, 1)
        return batch.per_answer(losses.index_fill(0, first, 0)) / divisor
