"""The precision of a model's weights and of its arithmetic."""

from __future__ import annotations

import torch

from palimpsest.models.settings import MIXED, UsedSettings, weight_bits


def weight_type(settings: UsedSettings, *, frozen: bool = False) -> torch.dtype:
    """Return the type of a model's weights."""
    return torch.bfloat16 if weight_bits(settings.precision, frozen=frozen) == 16 else torch.float32


def autocast(device: torch.device, settings: UsedSettings, *, cached: bool = True) -> torch.autocast:
    """Return the context of arithmetic on a device: under bf16-mixed, matrix products are in bf16, softmax and losses in fp32.

    With `cached`, a 16-bit copy of the weights is kept until the context ends.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == MIXED, cache_enabled=cached)
