"""LoRA adapters with peft, added before training; `palimpsest.models.merging` saves them and merges them into the weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from palimpsest.errors import UserError, first_line
from palimpsest.models.layouts import attempt, is_close, ordinary_tokens

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from palimpsest.training.settings import LoraSettings


def check_targets(model: PreTrainedModel, targets: Sequence[str]) -> None:
    """Raise UserError unless every name is a layer that can have an adapter.

    A layer that shares its weight with another layer cannot: merging its adapter would change the other layer too.
    """
    from transformers.pytorch_utils import Conv1D

    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Embedding | Conv1D)}
    users = Counter(id(layer.weight) for layer in layers.values())
    for target in targets:
        found = [layer for name, layer in layers.items() if f".{name}".endswith(f".{target}")]
        if not found:
            allowed = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
            raise UserError(f"lora: target_modules: the model has no layer {target!r}; its layers are {allowed}")
        if any(users[id(layer.weight)] > 1 for layer in found):
            raise UserError(
                f"lora: target_modules: {target!r} shares its weight with another layer, which merging would change too"
            )


def names_in_layers(model: PreTrainedModel, targets: Sequence[str] | Literal["all-linear"], layers: Sequence[int]) -> list[str]:
    """Return the full names of the layers in some decoder layers that get adapters, in the order of the model.

    Raises UserError for a decoder layer that the model does not have, and for a name that is in none of them.
    """
    from transformers.pytorch_utils import Conv1D

    kinds = (nn.Linear, Conv1D) if targets == "all-linear" else (nn.Linear, nn.Embedding, Conv1D)
    # The first number in a name is the decoder layer's; experts have numbers too.
    numbered = [(name, int(found[1])) for name, _ in model.named_modules() if (found := re.search(r"\.(\d+)(?:\.|$)", name))]
    last = max((number for _, number in numbered), default=-1)
    if missing := [number for number in layers if number > last]:
        raise UserError(f"lora: layers: the model has no decoder layer {missing[0]}; its layers are 0 to {last}")
    inside = [name for name, number in numbered if number in layers and isinstance(model.get_submodule(name), kinds)]
    if targets == "all-linear":
        return inside
    named = {target: [name for name in inside if f".{name}".endswith(f".{target}")] for target in targets}
    if absent := [target for target, names in named.items() if not names]:
        raise UserError(f"lora: layers: {absent[0]!r} of target_modules is in none of the decoder layers {list(layers)}")
    return [name for name in inside if any(name in names for names in named.values())]


def add_adapters(model: PreTrainedModel, settings: LoraSettings | None, seed: int) -> PreTrainedModel | PeftModel:
    """Freeze the model and add adapters initialised from the seed; without settings, return the model itself.

    Raises UserError like `check_targets` and `names_in_layers`, and for layers whose output would change when the adapter is
    merged.
    """
    if settings is None:
        return model
    from peft import LoraConfig, get_peft_model

    targets: Any = settings.target_modules
    if isinstance(targets, list):
        check_targets(model, targets)
    if settings.layers is not None:
        # peft ignores a decoder layer that the model does not have, and knows none for all linear layers.
        targets = names_in_layers(model, targets, settings.layers)
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=targets,
    )
    try:
        adapted: PeftModel = get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"lora: target_modules: {type(model).__name__}: {first_line(error)}") from None
    if wrong := _unmergeable(model, adapted):
        raise UserError(
            f"lora: target_modules: {type(model).__name__}: merging would change what the adapters of {', '.join(wrong)} have"
            " learnt: name other layers"
        )
    return adapted


class WithoutAdapters(nn.Module):
    """A model before its adapters were added: without them and without dropout, and with no weights of its own."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self._model, self.config = model, model.config

    def get_base_model(self) -> PreTrainedModel:
        """Return the given model."""
        return self._model

    def forward(self, **inputs: Any) -> Any:
        """Return the output of the model, which keeps its adapters and its mode of training."""
        from peft.tuners.lora import LoraLayer

        adapted = [module for module in self._model.modules() if isinstance(module, LoraLayer)]
        training = self._model.training
        self._model.eval()
        for layer in adapted:
            layer.enable_adapters(False)
        try:
            return self._model(**inputs)
        finally:
            for layer in adapted:
                layer.enable_adapters(True)
            self._model.train(training)


def _unmergeable(model: PreTrainedModel, adapted: PeftModel) -> list[str]:
    """Return the names of layers for which merging an adapter changes the model's predictions.

    Some models use a weight without calling its layer, and some layers are not a plain matrix product. One layer of each
    position in a block is tried.
    """
    from peft.tuners.lora import LoraLayer

    tried: dict[str, LoraLayer] = {}
    for name, module in adapted.named_modules():
        if isinstance(module, LoraLayer):
            tried.setdefault(re.sub(r"\.\d+\.", ".", name), module)
    ids = torch.tensor(ordinary_tokens(model, (9,)), device=model.device)
    # One at a time, because some models fail with an adapter on a layer that is not a plain product.
    with adapted.disable_adapter():
        return sorted({name.rpartition(".")[2] for name, layer in tried.items() if not _merges(model, layer, ids)})


@torch.no_grad()
def _merges(model: PreTrainedModel, layer: Any, ids: Tensor) -> bool:
    """Return whether merging an adapter leaves the predictions unchanged; the adapter itself is restored."""
    random = torch.Generator().manual_seed(0)
    kept = {weight: weight.clone() for weight in layer.parameters()}
    for name, weight in layer.named_parameters():
        # A new adapter is the product of noise and zeros, so the trial sets a change that is larger than the weight.
        if "lora_" in name and not weight.any():
            weight.copy_(torch.randn(weight.shape, generator=random) * 3 / layer.scaling["default"])

    def predictions(*, merged: bool) -> Tensor:
        if merged:
            layer.merge()
        logits: Tensor = model(input_ids=ids, use_cache=False).logits[0]
        return logits.float().log_softmax(-1)

    training = model.training
    model.eval()
    layer.enable_adapters(True)
    apart, together = attempt(lambda: predictions(merged=False)), attempt(lambda: predictions(merged=True))
    layer.enable_adapters(False)
    layer.merged_adapters.clear()
    for weight, value in kept.items():
        weight.copy_(value)
    start = predictions(merged=False)
    model.train(training)
    if not (isinstance(apart, Tensor) and isinstance(together, Tensor)):
        return False
    # In half precision, rounding may change a router's choice; an ignored adapter has no effect at all.
    heeded = model.dtype is torch.bfloat16 and bool((together - apart).norm() <= (together - start).norm() / 2)
    return heeded or is_close(together, apart, model)
