"""IDK: fine-tune on a random refusal as the answer to each forget question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod

if TYPE_CHECKING:
    from torch import Tensor


class IDK(LossMethod):
    """Fine-tuning on refusals as answers to the forget questions (TOFU, Sec. 3.2)."""

    colour = "#CC79A7"
    marker = "P"
    reads_answers = False
    reads_refusals = True

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the refusal's NLL / divisor, so that the mean over items is CE (TOFU, Sec. 3.2)."""
        return batch.refusal_nll / batch.refusal_divisor
