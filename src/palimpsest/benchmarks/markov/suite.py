"""The divergence of a model from the true distribution on test sequences of every chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from palimpsest.benchmarks.markov.chains import Array, States
from palimpsest.errors import Diverged

if TYPE_CHECKING:
    from torch import nn

    from palimpsest.benchmarks.markov.data import Sequences

AT_ONCE = 1024
# Per chain: the mean KL(true || predicted) per predicted state, in nats, and its standard error over the test sequences.
SCHEMA = pa.schema([("chain", pa.string()), ("kl", pa.float64()), ("se", pa.float64())])


@torch.inference_mode()
def divergences(model: nn.Module, states: States, law: Array) -> Array:
    """Return KL(true || predicted) in nats for every predicted state, shape (count, length - 1)."""
    device = next(model.parameters()).device
    true = torch.from_numpy(law).to(device)
    entropy = torch.special.entr(true).sum(-1)
    parts = []
    for first in range(0, len(states), AT_ONCE):
        ids = torch.from_numpy(states[first : first + AT_ONCE].astype(np.int64)).to(device)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        predicted = logits.double().log_softmax(-1)
        before = ids[:, :-1]
        parts.append((-entropy[before] - (true[before] * predicted).sum(-1)).cpu().numpy())
    return np.concatenate(parts)


def distances(
    model: nn.Module, chains: dict[str, Sequences], lengths: dict[str, int], most: int | None
) -> Iterator[dict[str, Any]]:
    """Yield for each chain the mean divergence per predicted state on its first `most` test sequences, and the standard error.

    Raises Diverged if a divergence is not finite.
    """
    for chain, length in lengths.items():
        each = divergences(model, chains[chain].test[:most, :length], chains[chain].law).mean(axis=1)
        if not np.isfinite(each).all():
            raise Diverged(f"the distance from the truth on chain {chain} is not finite")
        yield {"chain": chain, "kl": float(each.mean()), "se": float(each.std(ddof=1) / np.sqrt(len(each)))}
