"""Check items against the limits of a model (positions and vocabulary) before any work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from palimpsest.errors import UserError
from palimpsest.models.loading import vocabulary_size

if TYPE_CHECKING:
    from palimpsest.data.prompts import Encoded

POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx", "max_sequence_length")
# Model types without a limit: recurrent models and models with ALiBi.
ENDLESS = ("bloom", "falcon_mamba", "mamba", "mamba2", "rwkv", "xlstm")
# With these kinds of scaling, a config may state the length before scaling.
STRETCHED = ("linear", "dynamic", "yarn")


def longest_text(config: Any) -> int | None:
    """Return the maximum sequence length in tokens; None if the config sets no limit."""
    text = config.get_text_config(decoder=True)
    if text.model_type in ENDLESS or getattr(text, "alibi", False):
        return None
    positions = next((value for name in POSITIONS if isinstance(value := getattr(text, name, None), int)), 0)
    scaled = [int(rope.get("original_max_position_embeddings", positions) * rope["factor"]) for rope in _stretched(text)]
    return max([positions, *scaled]) if positions > 0 else None


def check_items(model: Any, names: Iterable[str], items: Iterable[Encoded]) -> None:
    """Raise UserError that names the first item that the model cannot read, or that has no token before its answers."""
    for name, item in zip(names, items, strict=True):
        longest = max(map(len, item.answers), default=0)
        _check(model.config, name, item.prompt, item.answers, longest, "to read")


def check_prompts(model: Any, names: Iterable[str], prompts: Iterable[list[int]], new_tokens: int) -> None:
    """Raise UserError that names the first prompt that is empty, or that leaves no room for `new_tokens` tokens."""
    for name, prompt in zip(names, prompts, strict=True):
        _check(model.config, name, prompt, (), new_tokens, f"with the {new_tokens} to generate")


def _check(config: Any, name: str, prompt: list[int], answers: Iterable[list[int]], more: int, what: str) -> None:
    if not prompt:
        raise UserError(
            f"{name}: its prompt is empty, but a prediction needs a token before it:"
            " use a template with text of its own, or a tokenizer with a BOS token"
        )
    tokens, positions = len(prompt) + more, longest_text(config)
    if positions is not None and tokens > positions:
        raise UserError(f"{name}: {tokens} tokens {what}, but the model has {positions} positions")
    largest, known = max(map(max, (prompt, *answers))), vocabulary_size(config)
    if largest >= known:
        raise UserError(f"{name}: it has token {largest}, but the model's last token is {known - 1}")


def _stretched(text: Any) -> list[dict[str, Any]]:
    """Return the settings of scaled rotary embeddings; a model may have one per kind of layer."""
    rope = getattr(text, "rope_parameters", None) or {}
    each = [part for part in rope.values() if isinstance(part, dict)] or [rope]
    return [part for part in each if part.get("rope_type") in STRETCHED and part.get("factor")]
