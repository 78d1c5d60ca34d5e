"""RMU: steer one layer's activations to a random direction on the forget set and keep them unchanged on the retain set.

The losses are means over an item's tokens, as in the paper (without padding, which the official code includes), and over the
width, as in the official code, whose weights of the two terms assume this.
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
    """The decoder layer whose activations enter the loss, counted from 0; this layer and the two below it are trained."""
    steering: Weight = 6.5
    """Length c of the target vector of the activations."""

    @property
    def layers(self) -> range:
        """The trained layers: `layer` and at most two layers below it."""
        return range(max(0, self.layer - 2), self.layer + 1)

    def forget_loss(self, activations: Tensor, direction: Tensor) -> Tensor:
        """Return the mean square of h - c u over the width at each token, with c = `steering` (WMDP, Sec. 4)."""
        return (activations - self.steering * direction).square().mean(-1)
