"""RMU: turn one layer's activations to a random direction on forget, hold them on retain.

A loss is the mean over an item's tokens, as in the paper (no padding counts, which in the official code does), and over the
width, as in the official code, whose weights of the two terms fit that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.methods.base import LayerMethod
from palimpsest.settings import Layer, Weight

if TYPE_CHECKING:
    from torch import Tensor


class RMU(LayerMethod):
    """Representation misdirection: activations of one layer are steered to a random direction (WMDP, arXiv 2403.03218)."""

    colour = "#44AA99"
    marker = ">"

    layer: Layer = 7
    """The decoder layer whose activations count, from 0; it is trained, and the two below it."""
    steering: Weight = 6.5
    """Length c of the vector to which the activations are steered."""

    @property
    def layers(self) -> range:
        """The layers that are trained: `layer`, whose activations count, and at most two below it."""
        return range(max(0, self.layer - 2), self.layer + 1)

    def forget_loss(self, activations: Tensor, direction: Tensor) -> Tensor:
        """Return the mean square of h - c u over the width at each token, c being `steering` (WMDP, Sec. 4)."""
        return (activations - self.steering * direction).square().mean(-1)
