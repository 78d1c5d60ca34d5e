"""RMU: turn one layer's activations to a random direction on forget, hold them on retain (WMDP, arXiv 2403.03218).

A loss is the mean over an item's tokens, as in the paper (no padding counts, which in the official code does), and over the
width, as in the official code, whose weights of the two terms fit that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.settings import Layer, Weight

if TYPE_CHECKING:
    from torch import Tensor

RETAIN_LOSS = "activations"


def forget_loss(activations: Tensor, direction: Tensor, *, steering: Weight = 6.5) -> Tensor:
    """Return the mean square of h - c u over the width at each token, c being `steering` (WMDP, Sec. 4)."""
    return (activations - steering * direction).square().mean(-1)


def trained_layers(*, layer: Layer = 7) -> range:
    """Return the layers whose MLP down-projections are trained: `layer`, whose activations count, and at most two below it."""
    return range(max(0, layer - 2), layer + 1)
