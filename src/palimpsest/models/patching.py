"""What the outputs of single decoder layers hold of an answer: activation patching and the logit lens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from palimpsest.errors import UserError
from palimpsest.models.decoder import decoder_layers

if TYPE_CHECKING:
    from palimpsest.data.prompts import Encoded

# The norm between the last decoder layer and the output head, for Llama and similar models, and for GPT-2.
NORMS = ("model.norm", "transformer.ln_f")


@torch.no_grad()
def layer_outputs(model: nn.Module, item: Encoded) -> Tensor:
    """Return the output of each decoder layer where it predicts a label of an item, shape (layers, labels, width)."""
    found: list[Tensor] = []
    places = _places(item)
    with _hooks([(layer, lambda hidden: found.append(hidden[:, places])) for layer, _ in decoder_layers(model)]):
        _logits(model, item)
    return torch.cat(found)


@torch.no_grad()
def label_losses(model: nn.Module, item: Encoded) -> Tensor:
    """Return the NLL of each label of an item, shape (labels,), in nats."""
    return _losses(_logits(model, item)[:, _places(item)], item)[0]


@torch.no_grad()
def patched_losses(model: nn.Module, item: Encoded, outputs: Tensor) -> Tensor:
    """Return the NLL of each label if the output of one layer is replaced where it predicts labels, shape (layers, labels).

    `outputs`, shape (layers, labels, width), come from a model of the same architecture (`layer_outputs`).
    """
    layers, places = decoder_layers(model), _places(item)
    if len(layers) != len(outputs):
        raise UserError(f"{len(outputs)} layers were given for a model of {len(layers)}: patching needs the same architecture")

    def losses(layer: nn.Module, output: Tensor) -> Tensor:
        def replace(hidden: Tensor) -> Tensor:
            patched = hidden.clone()
            patched[:, places] = output
            return patched

        with _hooks([(layer, replace)]):
            return _losses(_logits(model, item)[:, places], item)

    return torch.cat([losses(layer, output) for (layer, _), output in zip(layers, outputs, strict=True)])


@torch.no_grad()
def lens_losses(model: Any, item: Encoded, outputs: Tensor) -> Tensor:
    """Return the NLL of each label if the head reads a layer's output directly, shape (layers, labels): the logit lens."""
    norm = next((model.get_submodule(name) for name in NORMS if _has(model, name)), None)
    if norm is None:
        raise UserError(f"{type(model).__name__}: neither {' nor '.join(NORMS)} exists, so the head cannot read a layer's output")
    return _losses(model.get_output_embeddings()(norm(outputs)), item)


def _places(item: Encoded) -> slice:
    """Return the positions that predict the labels of an item's only answer."""
    (answer,) = item.answers
    return slice(len(item.prompt) - 1, len(item.prompt) + len(answer) - 1)


def _logits(model: nn.Module, item: Encoded) -> Tensor:
    ids = torch.tensor([[*item.prompt, *item.answers[0]]], device=next(model.parameters()).device)
    logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits


def _losses(logits: Tensor, item: Encoded) -> Tensor:
    """Return the NLL of each label, shape (rows, labels), from logits of shape (rows, labels, vocabulary)."""
    labels = torch.tensor(item.answers[0], device=logits.device).expand(logits.shape[:2])
    return cross_entropy(logits.float().transpose(1, 2), labels, reduction="none")


def _has(model: nn.Module, name: str) -> bool:
    try:
        model.get_submodule(name)
    except AttributeError:
        return False
    return True


@contextmanager
def _hooks(wanted: Sequence[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Let functions see, and replace if they return something, the output of modules; some layers return it in a tuple."""

    def as_hook(see: Any) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            seen = see(hidden)
            if seen is None:
                return None
            return (seen, *output[1:]) if isinstance(output, tuple) else seen

        return hook

    handles = [module.register_forward_hook(as_hook(see)) for module, see in wanted]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
