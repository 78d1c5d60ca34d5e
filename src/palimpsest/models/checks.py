"""Checks of a model and its tokenizer before any training, without loading the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.data.prompts import PromptEncoder, added_tokens
from palimpsest.errors import UserError
from palimpsest.models.limits import check_items
from palimpsest.models.loading import load_tokenizer, open_model, refused, vocabulary_size
from palimpsest.models.settings import Needs, PromptSettings
from palimpsest.training.adapters import check_targets, names_in_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ASKED, SAME = "Which river?", "prints the same without it"
# Some vocabularies contain a few tokens that no merge produces.
UNMADE = 0.05


def check_folder(folder: Path, needs: Needs) -> None:
    """Raise UserError for a model folder that a later stage could not use."""
    for path in sorted(folder.glob("*.json")):
        with refused(path):
            json.loads(path.read_bytes())
    tokenizer = load_tokenizer(folder)
    model = open_model(folder, torch.float32, "meta")
    known = vocabulary_size(model.config)
    # Added tokens, often the padding token, may be outside the embedding; a text that uses one is refused by name.
    if tokenizer.vocab_size > known:
        raise UserError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens but the model {known}: it belongs to another model"
        )
    added_tokens(tokenizer)
    _check_merges(folder, tokenizer)
    check_needs(model, tokenizer, needs)


def check_needs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, needs: Needs) -> None:
    """Raise UserError for a chat template that cannot be used as the settings say, or for a model that cannot be trained so.

    It cannot if a layer for adapters is missing, or if its family cannot recompute its activations.
    """
    if needs.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise UserError(f"gradient_checkpointing: {type(model).__name__} does not support it; use false")
    if needs.chat is not None:
        _check_chat(model, tokenizer, needs.chat)
    if needs.lora_targets is not None:
        check_targets(model, needs.lora_targets)
    if needs.lora_layers is not None:
        names_in_layers(model, needs.lora_targets or "all-linear", needs.lora_layers)


def _check_chat(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> None:
    """Raise UserError for a chat template that cannot be used, and for a setting that does not change the prompt."""
    encoder = PromptEncoder(tokenizer, settings)
    check_items(model, ["the chat template"], [encoder.encode(ASKED, [ASKED])])
    text, named = encoder.written(ASKED), f"{tokenizer.name_or_path or 'the tokenizer'}: prompt"

    def is_same_with(**changes: Any) -> bool:
        try:
            return PromptEncoder(tokenizer, settings.model_copy(update=changes)).rendered == encoder.rendered
        except UserError:
            return False

    if unread := sorted(settings.variables.keys() - encoder.variables):
        allowed = ", ".join(sorted(encoder.variables)) or "no variables"
        raise UserError(f"{named}: variables: {unread[0]}: the chat template does not read it; it reads {allowed}")
    if settings.system is not None and settings.system.strip() not in text:
        raise UserError(f"{named}: system: {settings.system!r}: the chat template does not print it")
    for name in ("system", "date"):
        if (value := getattr(settings, name)) is not None and is_same_with(**{name: None}):
            raise UserError(f"{named}: {name}: {value!r}: the chat template {SAME}")
    for name, value in settings.variables.items():
        others = {other: each for other, each in settings.variables.items() if other != name}
        if is_same_with(variables=others):
            why = "it is the default, or the template reads it only in a branch that no prompt takes"
            raise UserError(f"{named}: variables: {name}: {value!r}: the chat template {SAME}: {why}")


def _check_merges(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise UserError for a BPE whose merges do not produce its vocabulary: a truncated merges.txt splits words too finely."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    model = json.loads(backend.to_str())["model"] if backend else {}
    if model.get("type") != "BPE" or model.get("ignore_merges"):
        return
    made = {merge.replace(" ", "") if isinstance(merge, str) else "".join(merge) for merge in model["merges"]}
    long = [token for token in model["vocab"] if len(token) > 1 and not token.startswith("<")]
    unmade = sum(token not in made for token in long)
    if unmade > len(long) * UNMADE:
        raise UserError(f"{folder}: the tokenizer cannot make {unmade} of its {len(long)} tokens: its merges are truncated")
