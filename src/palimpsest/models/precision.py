"""The precision of a model's weights and of its arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from palimpsest.models.settings import MIXED, UsedSettings, weight_bits

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def weight_type(settings: UsedSettings, *, frozen: bool = False) -> torch.dtype:
    """Return the type of a model's weights."""
    return torch.bfloat16 if weight_bits(settings.precision, frozen=frozen) == 16 else torch.float32


def cast_weights(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Cast the weights in place, one at a time, as if the model had been loaded in this type; buffers keep theirs."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)
    model.config.dtype = dtype


def autocast(device: torch.device, settings: UsedSettings, *, cached: bool = True) -> torch.autocast:
    """Return the context of arithmetic on a device: under bf16-mixed, matrix products are in bf16, softmax and losses in fp32.

    With `cached`, a 16-bit copy of the weights is kept until the context ends.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == MIXED, cache_enabled=cached)
