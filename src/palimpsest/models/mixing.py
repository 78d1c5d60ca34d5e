"""Mix a model with a random one: the imperfect reference models of SimNPO (Sec. 4, App. B)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from palimpsest.streams import stream

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def mix_with_random(model: PreTrainedModel, share: float, seed: int) -> None:
    """Replace each weight w in place by (1 - share) w + share r, with r from a random model of the same architecture."""
    from transformers import AutoModelForCausalLM

    # Initialised on the CPU, so that the random numbers do not depend on the GPU.
    torch.manual_seed(int(stream(seed, "random-model").integers(2**63)))
    random = AutoModelForCausalLM.from_config(copy.deepcopy(model.config), dtype=model.dtype)
    for weight, other in zip(model.parameters(), random.parameters(), strict=True):
        weight.lerp_(other.to(weight), share)
