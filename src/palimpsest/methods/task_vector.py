"""Task Vector: subtract from the weights what further fine-tuning on the forget set adds to them.

Alpha 1, the default of MUSE's code, undoes once what the reinforced model has learnt twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from palimpsest.methods.base import EditMethod, Finetuned
from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


class TaskVector(EditMethod):
    """Weights less the task vector of the forget set (arXiv 2212.04089; MUSE, arXiv 2407.06460)."""

    label = "Task Vector"
    colour = "#332288"
    marker = "h"
    models = {"reinforced": Finetuned(on="forget")}

    alpha: Positive = 1.0
    """How many times the task vector is subtracted."""

    def edit(self, start: Tensor, others: Mapping[str, Tensor]) -> Tensor:
        """Return theta_start - alpha (theta_reinforced - theta_start) in the start's precision, computed in single precision."""
        return start.float().lerp(others["reinforced"].float(), -self.alpha).to(start.dtype)
