"""UNDIAL: distil the original with the logit of every token of the forget answers lowered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod, Start
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class UNDIAL(LossMethod):
    """Self-distillation with adjusted logits (arXiv 2402.10052)."""

    colour = "#7C3AED"
    marker = "H"
    models = {"original": Start()}
    reads_logits = True
    retain_loss = "none"

    beta: Positive = 10.0
    """How much the teacher's logit of the token to forget is lowered."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the token mean of the cross-entropy to the teacher, whose logits are l_0 - beta at the token to forget."""
        from torch import full_like
        from torch.nn.functional import cross_entropy

        labels = batch.labels[:, None]
        original = batch.frozen["original"]
        lowered = original.scatter_add(-1, labels, full_like(original[:, :1], -self.beta))
        losses = cross_entropy(batch.logits, lowered.softmax(-1), reduction="none")
        return batch.per_answer(losses) / batch.divisor
