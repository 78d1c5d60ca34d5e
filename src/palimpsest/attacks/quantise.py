"""Quantisation: round the weights to a few bits, which can recover forgotten data (arXiv 2410.16454)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from palimpsest.attacks.base import Attack, Target
from palimpsest.provenance.manifest import UNMOVED, Remark

if TYPE_CHECKING:
    from torch import Tensor


class Quantise(Attack):
    """Round the weights of every linear layer except the output head to the nearest of 2^bits - 1 levels, row by row."""

    gives_model = True

    kind: Literal["quantise"]
    """Quantisation: the rounded weights are stored in the model's precision."""
    bits: Literal[4, 8] = 8
    """Bits per weight."""

    def attack(self, target: Target) -> None:
        """Round the weights in place; embeddings, biases and the output head are unchanged, as is usual."""
        import torch
        from torch import nn

        head, moved = target.model.get_output_embeddings(), False
        with torch.no_grad():
            for layer in target.model.modules():
                if isinstance(layer, nn.Linear) and layer is not head:
                    rounded = round_rows(layer.weight, self.bits)
                    moved |= not rounded.equal(layer.weight)
                    layer.weight.copy_(rounded)
        if not moved:
            target.remark(Remark(UNMOVED, f"{target.label}: rounding to {self.bits} bits moved no weight"))
        target.watch(1)


def round_rows(weight: Tensor, bits: int) -> Tensor:
    """Return a weight, shape (rows, columns), with each row rounded to multiples of its largest magnitude / (2^(bits-1) - 1)."""
    levels = 2 ** (bits - 1) - 1
    step = weight.float().abs().amax(dim=1, keepdim=True) / levels
    rounded: Tensor = (weight.float() / step).round() * step
    # The step of a row of zeros is 0.
    kept: Tensor = rounded.where(step > 0, 0.0).to(weight.dtype)
    return kept
