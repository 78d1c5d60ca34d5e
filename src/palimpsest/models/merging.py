"""LoRA adapters as files, trained here or by others: saved, and merged into the weights of the model that they change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.errors import Diverged, UserError
from palimpsest.models.loading import ADAPTER, load_tokenizer, open_model, refused, save_model

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WEIGHTS = "adapter_model.safetensors"


def merge_adapters(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """Merge adapters into the weights, in their precision; raises Diverged if a weight is then not finite."""
    from transformers import PreTrainedModel

    if isinstance(model, PreTrainedModel):
        return model
    merged: PreTrainedModel = model.merge_and_unload()
    if not all(weight.isfinite().all() for weight in merged.parameters()):
        raise Diverged("a weight is not finite after merging the adapters")
    return merged


def save_adapters(model: PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write trained adapters in peft's format, with the model's config and tokenizer; the model has no adapters afterwards.

    The files do not name the model that the adapters change. Raises Diverged if a merged weight would not be finite.
    """
    from peft import get_peft_model_state_dict

    config = model.peft_config["default"]
    saved = get_peft_model_state_dict(model, save_embedding_layers=False)
    weights = {name: weight.detach().cpu().contiguous() for name, weight in saved.items()}
    merged = merge_adapters(model)
    write_adapter(folder, {**config.to_dict(), "base_model_name_or_path": None, "inference_mode": True}, weights)
    merged.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_adapter(folder: Path, settings: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Write an adapter in peft's format; equal adapters have equal bytes."""
    from safetensors.torch import save_file

    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in settings.items()}
    (folder / ADAPTER).write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_adapter(folder: Path) -> tuple[LoraConfig, dict[str, Tensor]]:
    """Return the settings and the weights of a LoRA adapter; raises UserError for another kind of adapter."""
    from peft import LoraConfig, PeftConfig
    from safetensors.torch import load_file

    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder}: an adapter without {WEIGHTS}, the only format that is read")
    with refused(folder):
        settings = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
        config = PeftConfig.from_peft_type(**settings)  # type: ignore[no-untyped-call]
        if not isinstance(config, LoraConfig):
            raise UserError(f"{folder}: an adapter of type {config.peft_type}; only LoRA adapters can be merged")
        return config, load_file(folder / WEIGHTS)


def apply_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Return the model with the adapter in a folder merged into its weights, in their precision and on their device.

    Raises UserError for an adapter that is no LoRA adapter, has other weights than this model needs, or is not finite.
    """
    from peft import get_peft_model, set_peft_model_state_dict

    config, weights = read_adapter(folder)
    # New adapters are random, but a stage draws the same numbers whether or not its model has some.
    with refused(folder), torch.random.fork_rng(devices=[]):
        adapted = get_peft_model(model, config)
        loaded: Any = set_peft_model_state_dict(adapted, weights)
    own = [name for name, _ in adapted.named_parameters() if "lora_" in name or "modules_to_save" in name]
    if wrong := sorted({*loaded.unexpected_keys} | {*loaded.missing_keys} & {*own}):
        raise UserError(f"{folder}: the adapter does not fit the model that it should change: {wrong[0]}")
    try:
        merged = merge_adapters(adapted)
    except Diverged as error:
        raise UserError(f"{folder}: {error.what}") from None
    # Adding adapters froze them.
    merged.requires_grad_(True)
    return merged


def merge_adapter(adapter: Path, over: Path, out: Path) -> None:
    """Write the model in folder `over` with the adapter in folder `adapter` merged into its weights, in fp32.

    Raises UserError like `apply_adapter`.
    """
    save_model(apply_adapter(open_model(over, torch.float32, "cpu"), adapter), load_tokenizer(over), out)
