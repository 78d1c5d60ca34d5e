"""Whether a model gives what a study needs of it, told before any training; of its weights only the headers are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from palimpsest.data.prompts import PromptEncoder
from palimpsest.errors import UserError
from palimpsest.models.loading import load_tokenizer, open_model, vocabulary_size
from palimpsest.models.settings import Needs, PromptSettings
from palimpsest.training.adapters import check_targets

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ASKED = "Which river?"


def check_folder(folder: Path, needs: Needs) -> None:
    """Raise UserError, one line, for a model's folder that a later stage could not use."""
    tokenizer = load_tokenizer(folder)
    model = open_model(folder, torch.float32, "meta")
    known = vocabulary_size(model.config)
    # Added tokens may lie beyond: one for padding often does, and the text that uses another is refused by name.
    if tokenizer.vocab_size > known:
        raise UserError(f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens and the model {known}: it is another model's")
    check_needs(model, tokenizer, needs)


def check_needs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, needs: Needs) -> None:
    """Raise UserError where a model has not the layers that get adapters, or its chat template does not ask a question."""
    if needs.chat and ASKED not in PromptEncoder(tokenizer, PromptSettings(kind="chat")).written(ASKED):
        raise UserError(f"{tokenizer.name_or_path or 'the tokenizer'}: the chat template leaves the question out")
    if needs.lora_targets is not None:
        check_targets(model, needs.lora_targets)
