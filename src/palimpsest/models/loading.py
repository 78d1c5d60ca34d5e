"""Load models and tokenizers from a folder, and save them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from palimpsest.errors import UserError, first_line
from palimpsest.faults import explain
from palimpsest.models.attention import fastest_attention
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.precision import cast_weights, weight_type

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.models.settings import UsedSettings

log = logging.getLogger("palimpsest")

ADAPTER = "adapter_config.json"
# Settings of a generation config that do not change generated text.
HARMLESS = {"bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "use_cache"}
CODE = "it needs custom code (auto_map), which is never run"
# Constants that older versions of transformers saved with the weights.
LEFTOVER = re.compile(r"(masked_bias|(attn|attention)\.bias|position_ids|rotary_emb\.inv_freq)$")
NAMED = 3


def load_model(folder: Path, settings: UsedSettings, *, over: Sequence[Path] = (), frozen: bool = False) -> PreTrainedModel:
    """Load a causal language model, on a GPU if there is one; a `frozen` one is neither trained nor edited.

    An adapter is merged into the models that it lies `over`, nearest first: adapters, and a model with whole weights as the last.
    Raises UserError unless that folder contains exactly the model's weights, as safetensors, and all weights are finite.
    """
    *adapters, base = folder, *over
    # Adapters are merged as at the end of their training, so that the weights are those that were trained.
    model = open_model(base, weight_type(settings, frozen=frozen and not adapters))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)  # type: ignore[arg-type]
    if adapters:
        from palimpsest.models.merging import apply_adapter

        for adapter in reversed(adapters):
            model = apply_adapter(model, adapter)
        cast_weights(model, weight_type(settings, frozen=frozen))
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise UserError(f"{folder}: the weight {name} has values that are not finite")
    model.eval()
    exact_layouts(model)
    return model


def open_model(folder: Path, dtype: torch.dtype, device: str | None = None) -> PreTrainedModel:
    """Load a causal language model like `load_model`; on the device `meta`, the weights are not loaded."""
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    refuse_adapter(folder, folder)
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: no weights in *.safetensors, the only format that is read; convert them with save_pretrained")
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
            # Mismatched sizes are refused below, by name.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    model, found = loaded
    check_weights(folder, found)
    drop_generation_settings(model, folder)
    opened: PreTrainedModel = model
    return opened


def refuse_adapter(folder: Path, name: object) -> None:
    """Raise UserError for a folder with an adapter, which transformers would apply automatically."""
    if (folder / ADAPTER).exists():
        raise UserError(
            f"{name}: {ADAPTER}: an adapter is never applied automatically; name the model that it changes under `over`,"
            " or delete its files to use the other weights in the folder"
        )


def check_weights(folder: Path, found: dict[str, Any]) -> None:
    """Raise UserError unless the files contain exactly the model's weights; `found` is the loading info of transformers."""
    wrong = {
        "lacks weights, which would be random": found["missing_keys"],
        "has weights that are not in its config.json": [n for n in found["unexpected_keys"] if not LEFTOVER.search(n)],
        "has weights whose shapes differ from its config.json": [
            f"{name} is {list(saved)}, not {list(wanted)}" for name, saved, wanted in found["mismatched_keys"]
        ],
    }
    for what, names in wrong.items():
        if names:
            raise UserError(f"{folder}: the model {what}: {_first(names)}")


def drop_generation_settings(model: PreTrainedModel, folder: Path) -> None:
    """Drop the model's generation settings, except token ids, and log the dropped ones."""
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
    log.info("%s: generation is greedy; unused settings of the model: %s", folder, settings)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model's folder.

    Raises UserError if it cannot be read, has no EOS, or has a BOS or EOS outside the model's vocabulary.
    """
    from transformers import AutoConfig, AutoTokenizer

    with refused(folder):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise UserError(f"{folder}: the tokenizer has no EOS token, but every answer must end with one")
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    if getattr(model, "dropout", None):
        raise UserError(f"{folder}: the tokenizer is random (dropout in tokenizer.json); set its dropout to null")
    rows = vocabulary_size(config)
    for role, token in (("BOS", tokenizer.bos_token_id), ("EOS", tokenizer.eos_token_id)):
        if token is not None and token >= rows:
            raise UserError(f"{folder}: the tokenizer's {role} token is {token}, but the model's last token is {rows - 1}")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= rows:
        # Only generation uses padding, and it is masked, so EOS can serve as padding.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def vocabulary_size(config: Any) -> int:
    """Return the number of rows of a model's embedding."""
    return int(config.get_text_config(decoder=True).vocab_size)


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights (safetensors), config and tokenizer in Hugging Face format; several files of weights are hashed at once."""
    model.save_pretrained(folder, max_shard_size="4GB")
    tokenizer.save_pretrained(folder)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Convert library errors about a file or folder within this block to UserError."""
    try:
        yield
    except Exception as error:  # each file format and model family has its own errors
        reason = CODE if "trust_remote_code" in str(error) else f"cannot be loaded: {first_line(error)}"
        raise explain(error) or UserError(f"{path}: {reason}") from error


def _first(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
