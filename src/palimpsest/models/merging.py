"""LoRA adapters, trained here or by others, merged into the models that they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.errors import Diverged, UserError
from palimpsest.models.loading import ADAPTER, load_tokenizer, open_model, refused, save_model

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"


def merge_adapters(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Merge adapters into the weights, so that an ordinary model is saved; raises Diverged if a weight is then not finite."""
    from transformers import PreTrainedModel

    if isinstance(model, PreTrainedModel):
        return model
    merged: PreTrainedModel = model.merge_and_unload()
    if not all(weight.isfinite().all() for weight in merged.parameters()):
        raise Diverged("a weight is not finite after merging the adapters")
    return merged


def merge_adapter(adapter: Path, over: Path, out: Path) -> None:
    """Write the model in folder `over` with the adapter in folder `adapter` merged into its weights, in fp32.

    Raises UserError for an adapter that is no LoRA adapter, has other weights than this model needs, or is not finite.
    """
    from peft import LoraConfig, PeftConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    if not (adapter / WEIGHTS).is_file():
        raise UserError(f"{adapter}: an adapter without {WEIGHTS}, the only format that is read")
    model = open_model(over, torch.float32, "cpu")
    with refused(adapter):
        settings = json.loads((adapter / ADAPTER).read_text(encoding="utf-8"))
        config = PeftConfig.from_peft_type(**settings)  # type: ignore[no-untyped-call]
        if not isinstance(config, LoraConfig):
            raise UserError(f"{adapter}: an adapter of type {config.peft_type}; only LoRA adapters can be merged")
        adapted = get_peft_model(model, config)
        loaded: Any = set_peft_model_state_dict(adapted, load_file(adapter / WEIGHTS))
    own = [name for name, _ in adapted.named_parameters() if "lora_" in name or "modules_to_save" in name]
    if wrong := sorted({*loaded.unexpected_keys} | {*loaded.missing_keys} & {*own}):
        raise UserError(f"{adapter}: the adapter does not fit the model that it should change: {wrong[0]}")
    try:
        merged = merge_adapters(adapted)
    except Diverged as error:
        raise UserError(f"{adapter}: {error.what}") from None
    save_model(merged, load_tokenizer(over), out)
