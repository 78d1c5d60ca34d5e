"""Task Vector: subtract from the weights what further fine-tuning on the forget set adds to them (MUSE; arXiv 2212.04089).

Alpha 1, the default of MUSE's code, undoes once what the strengthened model has learnt twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.settings import Positive

if TYPE_CHECKING:
    from torch import Tensor


def edit_weights(start: Tensor, strengthened: Tensor, *, alpha: Positive = 1.0) -> Tensor:
    """Return theta_start - alpha (theta_strengthened - theta_start) in the start's precision, computed in single precision."""
    return start.float().lerp(strengthened.float(), -alpha).to(start.dtype)
