"""LoRA adapters by peft: put on before training, merged into the weights after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from palimpsest.errors import UserError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from palimpsest.training.settings import LoraSettings


def check_targets(model: PreTrainedModel, targets: Sequence[str]) -> None:
    """Raise UserError unless every name is that of a layer which can have an adapter, and there is at least one.

    A layer that shares its weight with another cannot: merging its adapter would change the other layer too.
    """
    from transformers.pytorch_utils import Conv1D

    if not targets:
        raise UserError("lora: target_modules: no layer is named, so nothing would be trained")
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Embedding | Conv1D)}
    users = Counter(id(layer.weight) for layer in layers.values())
    for target in targets:
        found = [layer for name, layer in layers.items() if f".{name}".endswith(f".{target}")]
        if not found:
            allowed = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
            raise UserError(f"lora: target_modules: the model has no layer {target!r}; its layers are {allowed}")
        if any(users[id(layer.weight)] > 1 for layer in found):
            raise UserError(
                f"lora: target_modules: {target!r} shares its weight with another layer, which merging would change too"
            )


def add_adapters(model: PreTrainedModel, settings: LoraSettings | None, seed: int) -> PreTrainedModel | PeftModel:
    """Freeze the model and add adapters initialised from the seed; the model itself where there are no settings.

    Raises UserError as `check_targets` does.
    """
    if settings is None:
        return model
    from peft import LoraConfig, get_peft_model

    if isinstance(settings.target_modules, list):
        check_targets(model, settings.target_modules)

    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
    )
    adapted: PeftModel = get_peft_model(model, config)
    return adapted


def merge_adapters(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Fold adapters into the weights, so that what is saved is an ordinary model."""
    from transformers import PreTrainedModel

    if isinstance(model, PreTrainedModel):
        return model
    merged: PreTrainedModel = model.merge_and_unload()
    return merged
