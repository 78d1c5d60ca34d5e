"""LoRA adapters by peft: put on before training, merged into the weights after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch

from palimpsest.errors import UserError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from palimpsest.training.settings import LoraSettings


def add_adapters(model: PreTrainedModel, settings: LoraSettings | None, seed: int) -> PreTrainedModel | PeftModel:
    """Freeze the model and add adapters initialised from the seed; the model itself where there are no settings."""
    if settings is None:
        return model
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
    )
    if unknown := _unknown(settings.target_modules, [name for name, _ in model.named_modules()]):
        raise UserError(f"models: lora: target_modules: the model has no layer {unknown!r}")
    adapted: PeftModel = get_peft_model(model, config)
    return adapted


def _unknown(names: Sequence[str] | Literal["all-linear"], modules: Sequence[str]) -> str | None:
    """Return the first name of no layer, which peft leaves out without a word where another name is one's."""
    named = [] if isinstance(names, str) else names
    return next((name for name in named if not any(f".{module}".endswith(f".{name}") for module in modules)), None)


def merge_adapters(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Fold adapters into the weights, so that what is saved is an ordinary model."""
    from transformers import PreTrainedModel

    if isinstance(model, PreTrainedModel):
        return model
    merged: PreTrainedModel = model.merge_and_unload()
    return merged
