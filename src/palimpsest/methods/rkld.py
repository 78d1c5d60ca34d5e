"""RKLD: distil an unlearned teacher by reverse KL on the forget answers.

The teacher is the original model with lower logits for the tokens that further fine-tuning on the forget set makes more likely.
The defaults, no retain loss and alpha 1 (which cancels that increase once), are our choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import Finetuned, ForgetBatch, LossMethod, Start
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class RKLD(LossMethod):
    """Reverse KL to a teacher built from the original and the reinforced model (arXiv 2406.01983)."""

    colour = "#999933"
    marker = "p"
    models = {"original": Start(), "reinforced": Finetuned()}
    reads_logits = True
    retain_loss = "none"

    alpha: Positive = 1.0
    """Strength of the teacher: the factor of the reinforced model's logit increase that is subtracted from the original's
    logits."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the token mean of KL(model || teacher) in nats; teacher logits are l_0 - alpha ReLU(l_reinforced - l_0)."""
        from torch.nn.functional import kl_div, log_softmax, relu

        original, reinforced = batch.frozen["original"], batch.frozen["reinforced"]
        teacher = log_softmax(original - self.alpha * relu(reinforced - original), dim=-1)
        divergence = kl_div(teacher, log_softmax(batch.logits, dim=-1), reduction="none", log_target=True).sum(-1)
        return batch.per_answer(divergence) / batch.divisor
