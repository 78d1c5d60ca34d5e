"""Which layouts of a forward pass are exact for a model: found by trials and, where length matters, from its config."""

from __future__ import annotations

import inspect
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from palimpsest import processes
from palimpsest.data.prompts import Encoded
from palimpsest.errors import Diverged, UserError
from palimpsest.faults import explain
from palimpsest.models.attention import PACKED_ROWS
from palimpsest.models.packing import Layouts, Pass, label_logits, pack

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger("palimpsest")
Value = TypeVar("Value")

PACKED, PADDED, EVEN = Layouts(), Layouts(window=0), Layouts(window=0, reach=0)
# Allowed change of the log-probabilities at a label, relative to their spread: above rounding, below the effect of a wrong mask.
TOLERANCES = {torch.bfloat16: 0.2}
TOLERANCE = 1e-4

# Settings that bound how far back a token attends. A packed row ignores them; padding is compatible with them.
WINDOWS = re.compile(r"window|chunk|local_att", re.IGNORECASE)
# Settings beyond which attention may depend on a token's position in the row, or on the length of the row.
REACHES = re.compile(r"index(er)?_(topk|budget|block)|keep_window|floor|lsh", re.IGNORECASE)
# Settings that match these names but are not lengths.
OTHERS = re.compile(r"pattern|layers|heads|dim", re.IGNORECASE)
# Rotary embeddings whose frequencies depend on the longest sequence of a batch, if it exceeds the original context.
ROPES = ("dynamic", "longrope")
# Kinds of layers that are exact within the settings above; those in the third set need a setting that is a reach.
ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "linear_attention", "hybrid", "hybrid_sliding", "conv"}
LAYERS = ATTENTION | {"dense", "sparse", "moe", "mlp"}
INDEXED = {"indexed_attention"}

_found: dict[str, Layouts] = {}


def exact_layouts(model: nn.Module) -> Layouts:
    """Return the layouts that are exact for a causal language model, with or without adapters; the log names the others.

    The trial runs once per model config. Raises UserError for a model that cannot score a text, or that is not causal.
    """
    base = base_model(model)
    if (key := kind_of(base)) not in _found:
        _found[key] = processes.main_value(_examine(base))
    return _found[key]


def base_model(model: nn.Module) -> PreTrainedModel:
    """Return the model below its adapters, or the model itself if it has none."""
    base: PreTrainedModel = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator,assignment]
    return base


def kind_of(model: PreTrainedModel) -> str:
    """Return a key that is equal for models that differ only in their weights, and for a model before and after it is sharded."""
    config = model.config
    # FSDP gives a sharded module a class of its own.
    name = type(model).__name__.removeprefix("FSDP")
    return f"{name} {model.dtype} {config._attn_implementation} {config.to_json_string(use_diff=False)}"


def _examine(model: PreTrainedModel) -> Layouts:
    name, trial = type(model).__name__, Trial(model)
    (window, of_window), (reach, of_reach) = limits(model.config)
    if not trial.agrees(trial.laid_out(PADDED)):
        if not trial.is_causal():
            raise UserError(f"{name}: its predictions depend on later tokens, so it is not a causal language model")
        log.warning("%s: padding changes its losses: only answers of equal length share a forward pass", name)
        window = reach = 0
    elif not trial.agrees(trial.laid_out(PACKED)) or trial.agrees(trial.unmasked()):
        log.warning("%s: packing changes its losses: each answer has its own row", name)
        window = 0
    elif window < inf:
        log.info("%s: %s: each answer of a longer question has its own row", name, of_window)
    if 0 < reach < inf:
        log.info("%s: %s: longer answers share a forward pass only with answers of equal length", name, of_reach)
    return Layouts(window, reach, trial.arguments)


class Trial:
    """A few short sequences that a model scores in every layout; the even layout has no padding and gives the exact scores."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        named = inspect.signature(model.forward).parameters
        any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values())
        # An argument that the signature does not name may be accepted and ignored; for use_cache this costs only time.
        self.arguments = PACKED.arguments & ({*named, "use_cache"} if any_name else set(named))
        prompts, answers = ordinary_tokens(model, (4, 2)), ordinary_tokens(model, (3, 2, 4))
        self.items = [Encoded(prompts[0], answers[:2]), Encoded(prompts[1], answers[2:])]
        alone = attempt(lambda: self._log_probs(self.laid_out(EVEN)))
        if isinstance(alone, UserError):
            raise alone
        if isinstance(alone, Exception):
            raise UserError(f"{type(model).__name__}: it cannot score a text: {type(alone).__name__}: {alone}") from alone
        if alone.isnan().any():
            raise Diverged(f"the predictions of {type(model).__name__} are not finite")
        self.alone = alone

    def laid_out(self, layouts: Layouts) -> Pass:
        """Return the forward pass over all sequences."""
        return pack(self.items, replace(layouts, arguments=self.arguments))

    def unmasked(self) -> Pass:
        """Return the packed pass as one sequence; if the scores still agree, the trial is inconclusive."""
        packed, apart = self.laid_out(PACKED), ("attention_mask", "position_ids", PACKED_ROWS)
        calls = [{name: value for name, value in call.items() if name not in apart} for call in packed.calls]
        return replace(packed, calls=calls)

    def agrees(self, row: Pass) -> bool:
        """Return whether the labels of a pass have the same probabilities as alone; a pass that fails does not agree."""
        found = attempt(lambda: self._log_probs(row))
        return isinstance(found, Tensor) and is_close(found, self.alone, self.model)

    def is_causal(self) -> bool:
        """Return whether the probabilities of the labels are unchanged when more tokens follow."""
        longer = [Encoded(item.prompt, [answer + item.prompt for answer in item.answers]) for item in self.items]
        row = pack(longer, replace(EVEN, arguments=self.arguments))
        parts = zip(self._log_probs(row).split(row.lengths), self.laid_out(EVEN).lengths, strict=True)
        return is_close(torch.cat([part[:length] for part, length in parts]), self.alone, self.model)

    @torch.no_grad()
    def _log_probs(self, row: Pass) -> Tensor:
        training = self.model.training
        self.model.eval()
        logits = label_logits(self.model, row.to(self.model.device))
        self.model.train(training)
        return logits.float().log_softmax(-1)


def attempt(action: Callable[[], Value]) -> Value | Exception:
    """Return the result of an action, or the error of the model; failures of the machine are raised."""
    try:
        return action()
    except Exception as error:  # each model family has its own errors
        if explain(error):
            raise
        return error


def is_close(found: Tensor, expected: Tensor, model: PreTrainedModel) -> bool:
    """Return whether a model's log-probabilities, shape (N, vocabulary), differ only by the rounding of its arithmetic."""
    if found.shape != expected.shape:
        return False
    kind = model.device.type
    # Autocast computes fp32 weights in 16 bits.
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else model.dtype
    tolerance = TOLERANCES.get(dtype, TOLERANCE)
    spread = (expected - expected.mean(-1, keepdim=True)).norm(dim=-1)
    return bool(((found - expected).norm(dim=-1) <= tolerance * spread).all())


def ordinary_tokens(model: PreTrainedModel, lengths: Sequence[int]) -> list[list[int]]:
    """Return fixed pseudo-random sequences of these lengths without special tokens."""
    vocabulary = range(model.config.get_text_config(decoder=True).vocab_size)
    special = {value for name, value in _settings(model.config.to_dict()) if re.search(r"token_(id|index)$", name)}
    ordinary = [token for token in vocabulary if token not in special] or vocabulary
    generator = random.Random(sum(lengths))
    return [generator.choices(ordinary, k=length) for length in lengths]


def limits(config: PreTrainedConfig) -> tuple[tuple[float, str], tuple[float, str]]:
    """Return the window and the reach (see `Layouts`) that a config allows, each with the setting that limits it."""
    text = config.get_text_config(decoder=True)
    settings = list(_settings(text.to_dict()))
    lengths = [(value, name) for name, value in settings if type(value) is int and value > 0 and not OTHERS.search(name)]
    reaches: list[tuple[float, str]] = [(value, f"{name} {value}") for value, name in lengths if REACHES.search(name)]
    trained = [value for value, name in lengths if name in ("original_max_position_embeddings", "max_position_embeddings")]
    reaches += [(min(trained), f"{name} {value}") for name, value in settings if name == "rope_type" and value in ROPES]
    windows: list[tuple[float, str]] = [(value, f"{name} {value}") for value, name in lengths if WINDOWS.search(name)]
    # A kind of layer whose bound has another name, or that has no bound.
    for kind in set(getattr(text, "layer_types", None) or ()):
        if kind not in LAYERS and not (kind in INDEXED and reaches):
            reaches.append((0, f"layer_types {kind}"))
        if re.search("sliding|chunk", kind) and not windows:
            windows.append((0, f"layer_types {kind}"))
    return min([*windows, *reaches], default=(inf, "")), min(reaches, default=(inf, ""))


def _settings(settings: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values of settings, including nested ones and those in lists."""
    for name, value in settings.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, Mapping):
                yield from _settings(each)
            else:
                yield str(name), each
