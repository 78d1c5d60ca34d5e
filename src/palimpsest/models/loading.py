"""Models and tokenizers from an artefact's folder, and back into one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from palimpsest.errors import UserError
from palimpsest.models.attention import fastest_attention
from palimpsest.models.layouts import exact_layouts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.models.settings import UsedSettings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "bf16-mixed": torch.float32}


def load_model(folder: Path, settings: UsedSettings) -> PreTrainedModel:
    """Load a causal language model for training or scoring, on the GPU where there is one; UserError without safetensors."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: no weights in *.safetensors, and no others are read; convert them with save_pretrained")
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=DTYPES[settings.precision],
        attn_implementation=fastest_attention(folder),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)  # type: ignore[arg-type]
    model.eval()
    exact_layouts(model)
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model's folder; raises UserError where it has no end-of-sequence token."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no EOS token, which every answer must end in")
    if tokenizer.pad_token_id is None:
        # Padding is only ever seen by generation, behind an attention mask, so EOS serves.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights (safetensors), config and tokenizer: a folder that any Hugging Face tool can load."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
