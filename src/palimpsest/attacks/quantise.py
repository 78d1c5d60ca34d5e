"""Quantisation: round the weights to a few bits, which can recover forgotten data (arXiv 2410.16454)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from palimpsest.attacks.base import Edit, Target

if TYPE_CHECKING:
    from torch import Tensor

# The 16 levels of NF4 (QLoRA, arXiv 2305.14314, App. E), and how many consecutive weights share a largest magnitude.
NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334),
    *(-0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
BLOCK = 64


class Quantise(Edit):
    """Round the weights of every linear layer except the output head to a few levels."""

    kind: Literal["quantise"]
    """Quantisation: the rounded weights are stored in the model's precision."""
    bits: Literal[4, 8] = 8
    """Bits per weight."""
    levels: Literal["even", "nf4"] = "even"
    """`even`: the nearest of 2^bits - 1 levels, evenly spaced up to the largest magnitude of each row. `nf4`: the nearest of the
    16 levels of NF4, scaled to the largest magnitude of each 64 weights, as bitsandbytes loads a model in 4 bits; needs
    `bits: 4`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.levels == "nf4" and self.bits != 4:
            raise ValueError(f"levels: nf4 has 16 levels: use bits: 4, not {self.bits}")
        return self

    def edited(self, name: str, weight: Tensor, target: Target) -> Tensor:
        """Return the rounded weight."""
        return round_blocks(weight) if self.levels == "nf4" else round_rows(weight, self.bits)


def round_rows(weight: Tensor, bits: int) -> Tensor:
    """Return a weight, shape (rows, columns), with each row rounded to multiples of its largest magnitude / (2^(bits-1) - 1)."""
    levels = 2 ** (bits - 1) - 1
    step = weight.float().abs().amax(dim=1, keepdim=True) / levels
    rounded: Tensor = (weight.float() / step).round() * step
    # The step of a row of zeros is 0.
    kept: Tensor = rounded.where(step > 0, 0.0).to(weight.dtype)
    return kept


def round_blocks(weight: Tensor) -> Tensor:
    """Return a weight with each block of 64 rounded to NF4's levels times its largest magnitude (arXiv 2305.14314, eq. 1)."""
    import torch
    from torch.nn.functional import pad

    flat = weight.float().flatten()
    blocks = pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(dim=1, keepdim=True)
    levels = torch.tensor(NF4, device=weight.device)
    between = (levels[1:] + levels[:-1]) / 2
    # Any scale does for a block of zeros.
    nearest = torch.bucketize(blocks / scale.where(scale > 0, 1.0), between)
    rounded: Tensor = (levels[nearest] * scale).flatten()[: len(flat)].view(weight.shape).to(weight.dtype)
    return rounded
