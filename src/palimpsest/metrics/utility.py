"""Model utility of TOFU (arXiv 2401.06121, Sec. 2.2.1): what the model is still good for outside the forget set."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import hmean


def model_utility(parts: Sequence[float]) -> float:
    """Return the harmonic mean of the nine parts, each in [0, 1]: 0 where one of them is 0; NaN where one is NaN or outside."""
    if not parts or not all(0 <= part <= 1 for part in parts):
        return math.nan
    smallest = min(parts)
    if smallest == 0:
        return 0.0
    # Scaled, because the reciprocal of a collapsed model's probability overflows; a part that then does adds nothing.
    with np.errstate(over="ignore"):
        return float(smallest * hmean(np.divide(parts, smallest)))
