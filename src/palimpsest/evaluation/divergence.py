"""The divergence of a model from its start model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from palimpsest.errors import Diverged
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.packing import label_divergence, label_logits, pack, plan_passes
from palimpsest.models.scoring import TOKENS_PER_PASS
from palimpsest.processes import share
from palimpsest.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from palimpsest.data.prompts import Encoded


@torch.no_grad()
def mean_divergence(start: nn.Module, model: nn.Module, items: Sequence[Encoded]) -> float:
    """Return the mean over all labels of KL(start || model) in nats; NaN without items.

    Raises Diverged if it is not finite.
    """
    device, layouts = next(model.parameters()).device, exact_layouts(model)
    runs = list(plan_passes(items, TOKENS_PER_PASS, layouts))

    def one_pass(run: slice) -> tuple[float, int]:
        row = pack(items[run], layouts).to(device)
        return label_divergence(label_logits(start, row), label_logits(model, row)).double().sum().item(), len(row.labels)

    total, labels = 0.0, 0
    for of_pass, labels_of_pass in track(share(runs, one_pass), "divergence", total=len(runs)):
        total += of_pass
        labels += labels_of_pass
    if not math.isfinite(total):
        raise Diverged("the divergence from the start model is not finite")
    return total / labels if labels else math.nan
