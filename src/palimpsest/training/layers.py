"""Train a few layers with a loss on the last one's activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from palimpsest.data.prompts import Encoded
from palimpsest.errors import UserError
from palimpsest.models.decoder import decoder_layers
from palimpsest.models.packing import Pass, label_logits
from palimpsest.streams import stream

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TrainedLayers:
    """The MLP down-projections of some decoder layers, which are trained with a loss on the last layer's activations.

    Only these weights differ from the start model, so copies of them replace a second model in memory.
    """

    def __init__(self, model: PreTrainedModel, layers: range, seed: int) -> None:
        found = decoder_layers(model)
        if layers.stop - 1 not in range(len(found)):
            raise UserError(f"layer {layers.stop - 1}: the model has {len(found)} decoder layers, 0 to {len(found) - 1}")
        self.model = model
        model.requires_grad_(False)
        for layer in layers:
            found[layer][1].requires_grad_(True)
        self.start = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
        found[layers.stop - 1][0].register_forward_hook(self._keep)
        drawn = stream(seed, "direction").random(model.config.hidden_size)
        self.direction = torch.from_numpy(drawn / np.linalg.norm(drawn)).float()

    def _keep(self, layer: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 3:
            raise UserError(f"{type(self.model).__name__}: the method needs layers with output (batch, tokens, width)")
        self._output: Tensor = output
        # The layers above are not trained, so they need no graph.
        return output.detach()

    def activations(self, row: Pass) -> Tensor:
        """Return the output of the last layer in the latest forward pass, shape (tokens, width), in single precision."""
        output = self._output.flatten(0, 1).float()
        return output if row.tokens is None else output[row.tokens]

    @torch.no_grad()
    def start_activations(self, row: Pass) -> Tensor:
        """Return the same activations of the start model, without dropout."""
        self.model.eval()
        label_logits(lambda **inputs: functional_call(self.model, self.start, (), inputs), row)
        self.model.train()
        return self.activations(row)


def item_means(values: Tensor, items: Sequence[Encoded]) -> Tensor:
    """Return the mean of each item's values, shape (items,), from one value per token of a pass without other tokens."""
    return torch.stack([part.mean() for part in values.split([item.tokens for item in items])])
