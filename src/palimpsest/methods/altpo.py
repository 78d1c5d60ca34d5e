"""AltPO: direct preference optimisation with an answer that the start model made up preferred over the forget answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import ForgetBatch, LossMethod
from palimpsest.methods.dpo_idk import preference_loss
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class AltPO(LossMethod):
    """Alternate preference optimisation: a made-up answer is preferred over the forget answer (arXiv 2409.13474)."""

    colour = "#661100"
    marker = "2"
    reads_reference = True
    reads_alternatives = True

    beta: Positive = 0.1
    """Inverse temperature: a larger beta makes the loss saturate at a smaller distance from the reference model."""

    def forget_loss(self, batch: ForgetBatch) -> Tensor:
        """Return the loss that prefers the alternative over the answer, (items,)."""
        alternative_gain = batch.alternative_reference_nll - batch.alternative_nll
        return preference_loss(self.beta, alternative_gain, batch.reference_nll - batch.nll)
