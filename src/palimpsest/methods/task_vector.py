"""Task Vector: subtract the weight change that further fine-tuning on the forget set causes.

Alpha 1, the default of MUSE's code, subtracts the change once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from palimpsest.methods.base import EditMethod, Finetuned
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class TaskVector(EditMethod):
    """Weights minus the task vector of the forget set (arXiv 2212.04089; MUSE, arXiv 2407.06460)."""

    label = "Task Vector"
    colour = "#332288"
    marker = "h"
    models = {"reinforced": Finetuned()}

    alpha: Positive = 1.0
    """The factor of the subtracted task vector."""

    def edit(self, start: Tensor, others: Mapping[str, Tensor]) -> Tensor:
        """Return theta_start - alpha (theta_reinforced - theta_start) in the start's precision, computed in single precision."""
        return start.float().lerp(others["reinforced"].float(), -self.alpha).to(start.dtype)
