"""RKLD: distil a teacher that has unlearned, by reverse KL on the forget answers (arXiv 2406.01983).

The teacher is the original model with those tokens pushed down that further fine-tuning on the forget set pushes up. That
there is no retain loss by default, and alpha 1, which undoes the push once, are our choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor

RETAIN_LOSS = "none"


def forget_loss(logits: Tensor, original_logits: Tensor, strengthened_logits: Tensor, *, alpha: Positive = 1.0) -> Tensor:
    """Return KL(model || teacher) of each label in nats; teacher logits are l_0 - alpha ReLU(l_strong - l_0)."""
    from torch.nn.functional import kl_div, log_softmax, relu

    teacher = log_softmax(original_logits - alpha * relu(strengthened_logits - original_logits), dim=-1)
    return kl_div(teacher, log_softmax(logits, dim=-1), reduction="none", log_target=True).sum(-1)
