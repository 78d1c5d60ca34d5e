"""The suite of depth: what the forget answers cost if a layer of Original gets the output of a model's layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.data.rows import read_lessons
from palimpsest.data.splits import spread
from palimpsest.models.encoding import named_items
from palimpsest.models.patching import label_losses, layer_outputs, lens_losses, patched_losses
from palimpsest.progress import track

if TYPE_CHECKING:
    from torch import nn

    from palimpsest.data.prompts import Encoded
    from palimpsest.evaluation.depth.suite_settings import DepthSuite
    from palimpsest.evaluation.subject import Subject

# One row per item and layer: the number of labels, and summed NLLs in nats: Original's own (`nll`), Original's with the layer's
# output from Retrain or from the model, and the model's own if its head reads the layer's output.
SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("id", pa.string()),
        ("layer", pa.int64()),
        ("tokens", pa.int64()),
        *((name, pa.float64()) for name in ("nll", "nll_from_retrain", "nll_from_model", "nll_lens")),
        ("threshold", pa.float64()),
    ]
)


def measure(
    subject: Subject, suite: DepthSuite, data: Path, scratch: Path, *, original: nn.Module, retrain: nn.Module
) -> list[dict[str, Any]]:
    """Patch each forget item, layer by layer; return one row per item and layer, which are counted from 1."""
    rows = read_lessons(data / "forget.jsonl")
    named = list(zip(*named_items(rows, subject.tokenizer, subject.used, subject.model), strict=True))
    kept = spread(named, suite.max_items)
    items = track(kept, "patch", total=len(kept))
    return [row for id, item in items for row in _item(subject, suite, id, item, original, retrain)]


def _item(
    subject: Subject, suite: DepthSuite, id: str, item: Encoded, original: nn.Module, retrain: nn.Module
) -> Iterator[dict[str, Any]]:
    own = layer_outputs(subject.model, item)
    columns = {
        "nll_from_retrain": patched_losses(original, item, layer_outputs(retrain, item)),
        "nll_from_model": patched_losses(original, item, own),
        "nll_lens": lens_losses(subject.model, item, own),
    }
    nll = float(label_losses(original, item).double().sum())
    for layer in range(len(own)):
        yield {
            "set": "forget",
            "id": id,
            "layer": layer + 1,
            "tokens": len(item.answers[0]),
            "nll": nll,
            **{name: float(losses[layer].double().sum()) for name, losses in columns.items()},
            "threshold": suite.threshold,
        }
