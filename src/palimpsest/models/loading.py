"""Models and tokenizers from an artefact's folder, and back into one."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.errors import UserError, first_line
from palimpsest.faults import explain
from palimpsest.models.attention import fastest_attention
from palimpsest.models.layouts import exact_layouts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.models.settings import UsedSettings

log = logging.getLogger("palimpsest")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "bf16-mixed": torch.float32}
ADAPTER = "adapter_config.json"
# Settings of a generation config that do not change what is generated.
HARMLESS = {"bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "use_cache"}
CODE = "it needs code of its own (auto_map), and no code of a model is run"
# Constants that older versions of transformers saved with the weights.
LEFTOVER = re.compile(r"(masked_bias|(attn|attention)\.bias|position_ids|rotary_emb\.inv_freq)$")
NAMED = 3


def load_model(folder: Path, settings: UsedSettings) -> PreTrainedModel:
    """Load a causal language model for training or scoring, on the GPU where there is one.

    Raises UserError, one line, unless the folder holds exactly the model's weights, as safetensors, all of them finite.
    """
    model = open_model(folder, DTYPES[settings.precision])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)  # type: ignore[arg-type]
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise UserError(f"{folder}: the model's weight {name} holds numbers that are not finite")
    model.eval()
    exact_layouts(model)
    return model


def open_model(folder: Path, dtype: torch.dtype, device: str | None = None) -> PreTrainedModel:
    """Load a causal language model as `load_model` does; on the device `meta` without its weights."""
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    refuse_adapter(folder, folder)
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: no weights in *.safetensors, and no others are read; convert them with save_pretrained")
    for path in sorted(folder.glob("*.safetensors")):
        with refused(path), safe_open(path, framework="pt"):
            pass
    with refused(folder):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=fastest_attention(folder),
            device_map=device,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            # They are refused below, by name.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    model, found = loaded
    check_weights(folder, found)
    drop_generation_settings(model, folder)
    opened: PreTrainedModel = model
    return opened


def refuse_adapter(folder: Path, name: object) -> None:
    """Raise UserError for a folder with an adapter, which transformers would apply unasked."""
    if (folder / ADAPTER).exists():
        raise UserError(
            f"{name}: {ADAPTER}: an adapter is never applied unasked; merge it into its base model and save the whole,"
            " or delete its files to use the weights beside them"
        )


def check_weights(folder: Path, found: dict[str, Any]) -> None:
    """Raise UserError unless the files hold each weight in its shape and no others; `found` is transformers' loading info."""
    wrong = {
        "lacks weights, which would be random": found["missing_keys"],
        "has weights that its config.json does not know": [n for n in found["unexpected_keys"] if not LEFTOVER.search(n)],
        "has weights of another shape than its config.json says": [
            f"{name} is {list(saved)}, not {list(wanted)}" for name, saved, wanted in found["mismatched_keys"]
        ],
    }
    for what, names in wrong.items():
        if names:
            raise UserError(f"{folder}: the model {what}: {_first(names)}")


def drop_generation_settings(model: PreTrainedModel, folder: Path) -> None:
    """Drop the model's own generation settings, all but its token ids, and log what was dropped."""
    from transformers import GenerationConfig

    given = getattr(model, "generation_config", None)
    if given is None:
        return
    said = {name: value for name, value in given.to_diff_dict().items() if not name.startswith("_")}
    dropped = {name: value for name, value in said.items() if name not in HARMLESS and value not in (None, False)}
    if dropped:
        kept = {name: value for name, value in said.items() if name in HARMLESS}
        model.generation_config = GenerationConfig.from_dict(kept)
        _say_dropped(folder, ", ".join(f"{name} {value}" for name, value in sorted(dropped.items())))


@cache
def _say_dropped(folder: Path, settings: str) -> None:
    log.info("%s: generation is greedy; the model's own settings are not used: %s", folder, settings)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model's folder.

    Raises UserError if it cannot be read, has no EOS, or its BOS or EOS lies beyond the model's vocabulary.
    """
    from transformers import AutoConfig, AutoTokenizer

    with refused(folder):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no EOS token, which every answer must end in")
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if getattr(model, "dropout", None):
        raise UserError(f"{folder}: the tokenizer merges at random (dropout in tokenizer.json): set its dropout to null")
    rows = vocabulary_size(config)
    for role, token in (("BOS", tokenizer.bos_token_id), ("EOS", tokenizer.eos_token_id)):
        if token is not None and token >= rows:
            raise UserError(f"{folder}: the tokenizer's {role} token is {token}, and the model has {rows} tokens, from 0 on")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= rows:
        # Padding is only ever seen by generation, behind an attention mask, so EOS serves.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def vocabulary_size(config: Any) -> int:
    """Return the number of rows of a model's embedding."""
    return int(config.get_text_config(decoder=True).vocab_size)


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights (safetensors), config and tokenizer: a folder that any Hugging Face tool can load."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Raise UserError, one line, for any error in this block that a library raises about a file or folder."""
    try:
        yield
    except Exception as error:  # each file format and each family of models has its own
        reason = CODE if "trust_remote_code" in str(error) else f"cannot be loaded: {first_line(error)}"
        raise explain(error) or UserError(f"{path}: {reason}") from error


def _first(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
