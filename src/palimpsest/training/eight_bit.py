"""AdamW of bitsandbytes, whose moments take 8 bits, with random rounding of bf16 weights."""

from __future__ import annotations

from typing import Any

import torch
from bitsandbytes.optim.adamw import AdamW8bit
from torch import Tensor, nn

from palimpsest.streams import stream


class EightBitAdamW(AdamW8bit):
    """AdamW with 8-bit moments, each block of 256 with its own scale (arXiv 2110.02861), and weights in fp32 or bf16.

    A small update of a bf16 weight is mostly less than half a unit in its last place, and rounding to nearest would lose it.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, eps: float, seed: int) -> None:
        super().__init__(groups, lr=lr, eps=eps)  # type: ignore[no-untyped-call]
        self._seed = seed

    @torch.no_grad()
    def update_step(self, group: dict[str, Any], p: nn.Parameter, gindex: int, pindex: int) -> None:
        """Update one weight; one in bf16 is updated in fp32 and then rounded up or down at random."""
        if p.dtype is not torch.bfloat16 or p.grad is None:
            super().update_step(group, p, gindex, pindex)  # type: ignore[no-untyped-call]
            return
        wide = nn.Parameter(p.float())
        wide.grad = p.grad.float()
        self.state[wide] = self.state[p]
        super().update_step(group, wide, gindex, pindex)  # type: ignore[no-untyped-call]
        step = self.state.pop(wide)["step"]
        wide.grad = None
        # By the number of the step, so that every process draws the same, and a resumed run what the first one would have.
        seed = int(stream(self._seed, "rounding", step, gindex, pindex).integers(2**63))
        p.copy_(round_at_random(wide.detach(), torch.Generator(p.device).manual_seed(seed)))


def round_at_random(values: Tensor, generator: torch.Generator) -> Tensor:
    """Return fp32 values rounded to one of the two nearest numbers of bf16, the nearer one more often: the mean is the value."""
    # bf16 is the upper half of the bits; whether the lower half carries is drawn.
    bits = torch.randint(2**16, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    return bits.add_(values.view(torch.int32)).bitwise_and_(-(2**16)).view(torch.float32).bfloat16()
