"""How far a model has moved: its divergence from the model that unlearning started from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from palimpsest.evaluation.scoring import TOKENS_PER_PASS
from palimpsest.models.packing import label_divergence, label_logits, pack, plan_passes
from palimpsest.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from palimpsest.data.prompts import Encoded


@torch.no_grad()
def mean_divergence(start: nn.Module, model: nn.Module, items: Sequence[Encoded]) -> float:
    """Return the mean over all labels of KL(start || model) in nats; NaN where there are no items."""
    device = next(model.parameters()).device
    total, labels = 0.0, 0
    runs = list(plan_passes(items, TOKENS_PER_PASS))
    for run in track(runs, "divergence", total=len(runs)):
        row = pack(items[run]).to(device)
        total += label_divergence(label_logits(start, row), label_logits(model, row)).double().sum().item()
        labels += len(row.labels)
    return total / labels if labels else float("nan")
