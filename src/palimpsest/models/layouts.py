"""Which layouts of a forward pass are exact for a model: found out by trying them, and from its config where length matters."""

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
from palimpsest.models.packing import Layouts, Pass, label_logits, pack

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger("palimpsest")
Value = TypeVar("Value")

PACKED, PADDED, EVEN = Layouts(), Layouts(window=0), Layouts(window=0, reach=0)
# How far the log-probabilities at a label may move, relative to their spread: more than by rounding, less than by a wrong mask.
TOLERANCES = {torch.bfloat16: 0.2}
TOLERANCE = 1e-4

# Settings that bound how far back a token sees. The mask of a packed row does not know them; padding does them no harm.
WINDOWS = re.compile(r"window|chunk|local_att", re.IGNORECASE)
# Settings beyond which what a token sees may depend on its place in the row, or on the length of the row.
REACHES = re.compile(r"index(er)?_(topk|budget|block)|keep_window|floor|lsh", re.IGNORECASE)
# Settings that have such names and are no lengths.
OTHERS = re.compile(r"pattern|layers|heads|dim", re.IGNORECASE)
# Rotary embeddings whose frequencies depend on the longest sequence of a batch, if it is longer than the first training's.
ROPES = ("dynamic", "longrope")
# Kinds of layers that are exact within the settings above; of those in the third set one of the settings is a reach.
ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "linear_attention", "hybrid", "hybrid_sliding", "conv"}
LAYERS = ATTENTION | {"dense", "sparse", "moe", "mlp"}
INDEXED = {"indexed_attention"}

_found: dict[str, Layouts] = {}


def exact_layouts(model: nn.Module) -> Layouts:
    """Return the layouts that are exact for a causal language model, with adapters or without; the log names what is not.

    They are tried on the first model of each config. Raises UserError for a model that cannot score a text by itself, or that
    reads what follows the token it predicts.
    """
    base = base_model(model)
    if (key := kind_of(base)) not in _found:
        _found[key] = processes.main_value(_examine(base))
    return _found[key]


def base_model(model: nn.Module) -> PreTrainedModel:
    """Return the model that has the adapters, or the model itself."""
    base: PreTrainedModel = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator,assignment]
    return base


def kind_of(model: PreTrainedModel) -> str:
    """Return what models share that differ in nothing but their weights."""
    config = model.config
    return f"{type(model).__name__} {model.dtype} {config._attn_implementation} {config.to_json_string(use_diff=False)}"


def _examine(model: PreTrainedModel) -> Layouts:
    name, trial = type(model).__name__, Trial(model)
    (window, of_window), (reach, of_reach) = limits(model.config)
    if not trial.agrees(trial.laid_out(PADDED)):
        if not trial.is_causal():
            raise UserError(f"{name}: its predictions change with the tokens after them: it is not a causal language model")
        log.warning("%s: padding changes its losses: only answers of one length share a forward pass", name)
        window = reach = 0
    elif not trial.agrees(trial.laid_out(PACKED)) or trial.agrees(trial.unmasked()):
        log.warning("%s: packed questions change its losses: each answer has a row of its own", name)
        window = 0
    elif window < inf:
        log.info("%s: %s: each answer of a longer question has a row of its own", name, of_window)
    if 0 < reach < inf:
        log.info("%s: %s: only longer answers of one length share a forward pass", name, of_reach)
    return Layouts(window, reach, trial.arguments)


class Trial:
    """A few short sequences that a model scores in any layout; even, they share no padding and so stand for each alone."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        named = inspect.signature(model.forward).parameters
        any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values())
        # An argument that is not named may be taken and not heeded; a cache does no more than cost time.
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
        """Return the pass over all sequences."""
        return pack(self.items, replace(layouts, arguments=self.arguments))

    def unmasked(self) -> Pass:
        """Return the packed pass without its mask; if that changes nothing, the trial shows nothing."""
        packed = self.laid_out(PACKED)
        calls = [{k: v for k, v in call.items() if k not in ("attention_mask", "position_ids")} for call in packed.calls]
        return replace(packed, calls=calls)

    def agrees(self, row: Pass) -> bool:
        """Return whether the labels of a pass have the probabilities that they have alone; a pass that fails does not agree."""
        found = attempt(lambda: self._log_probs(row))
        return isinstance(found, Tensor) and is_close(found, self.alone, self.model.dtype)

    def is_causal(self) -> bool:
        """Return whether the labels keep their probabilities when more tokens follow."""
        longer = [Encoded(item.prompt, [answer + item.prompt for answer in item.answers]) for item in self.items]
        row = pack(longer, replace(EVEN, arguments=self.arguments))
        parts = zip(self._log_probs(row).split(row.lengths), self.laid_out(EVEN).lengths, strict=True)
        return is_close(torch.cat([part[:length] for part, length in parts]), self.alone, self.model.dtype)

    @torch.no_grad()
    def _log_probs(self, row: Pass) -> Tensor:
        training = self.model.training
        self.model.eval()
        logits = label_logits(self.model, row.to(self.model.device))
        self.model.train(training)
        return logits.float().log_softmax(-1)


def attempt(action: Callable[[], Value]) -> Value | Exception:
    """Return what an action returns, or the error with which a model fails; what the machine refuses is raised."""
    try:
        return action()
    except Exception as error:  # each family of models has its own
        if explain(error):
            raise
        return error


def is_close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Return whether log-probabilities, (N, vocabulary), of a model of this type differ by rounding alone."""
    if found.shape != expected.shape:
        return False
    tolerance = TOLERANCES.get(dtype, TOLERANCE)
    spread = (expected - expected.mean(-1, keepdim=True)).norm(dim=-1)
    return bool(((found - expected).norm(dim=-1) <= tolerance * spread).all())


def ordinary_tokens(model: PreTrainedModel, lengths: Sequence[int]) -> list[list[int]]:
    """Return sequences of these lengths, always the same, of tokens that are not special."""
    vocabulary = range(model.config.get_text_config(decoder=True).vocab_size)
    special = {value for name, value in _settings(model.config.to_dict()) if re.search(r"token_(id|index)$", name)}
    ordinary = [token for token in vocabulary if token not in special] or vocabulary
    generator = random.Random(sum(lengths))
    return [generator.choices(ordinary, k=length) for length in lengths]


def limits(config: PreTrainedConfig) -> tuple[tuple[float, str], tuple[float, str]]:
    """Return the window and the reach (see `Layouts`) that a config allows, each with the setting that says so."""
    text = config.get_text_config(decoder=True)
    settings = list(_settings(text.to_dict()))
    lengths = [(value, name) for name, value in settings if type(value) is int and value > 0 and not OTHERS.search(name)]
    reaches: list[tuple[float, str]] = [(value, f"{name} {value}") for value, name in lengths if REACHES.search(name)]
    trained = [value for value, name in lengths if name in ("original_max_position_embeddings", "max_position_embeddings")]
    reaches += [(min(trained), f"{name} {value}") for name, value in settings if name == "rope_type" and value in ROPES]
    windows: list[tuple[float, str]] = [(value, f"{name} {value}") for value, name in lengths if WINDOWS.search(name)]
    # A kind of layer whose bound has another name, or none.
    for kind in set(getattr(text, "layer_types", None) or ()):
        if kind not in LAYERS and not (kind in INDEXED and reaches):
            reaches.append((0, f"layer_types {kind}"))
        if re.search("sliding|chunk", kind) and not windows:
            windows.append((0, f"layer_types {kind}"))
    return min([*windows, *reaches], default=(inf, "")), min(reaches, default=(inf, ""))


def _settings(settings: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values of settings, those within others and those in lists too."""
    for name, value in settings.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, Mapping):
                yield from _settings(each)
            else:
                yield str(name), each
