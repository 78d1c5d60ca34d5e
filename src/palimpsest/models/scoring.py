"""Score answers, one forward pass at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite

import torch
from torch import nn

from palimpsest.data.prompts import Encoded
from palimpsest.errors import Diverged
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.packing import label_logits, pack, plan_passes, token_nll
from palimpsest.processes import share

# Tokens of a forward pass in evaluation and for references.
TOKENS_PER_PASS = 1024


@dataclass(frozen=True)
class Scores:
    """The scores of one item: the summed NLL and the number of labels of each answer, and for each label its NLL.

    Also whether each label is a hit, i.e. the argmax.
    """

    nll: list[float]
    tokens: list[int]
    losses: list[list[float]]
    hits: list[list[bool]]


@torch.no_grad()
def score(model: nn.Module, items: Sequence[Encoded], tokens_per_pass: int = TOKENS_PER_PASS) -> Iterator[Scores]:
    """Score items in order, one pass at a time, on the model's device; several processes divide the passes.

    Raises Diverged if the loss of an answer is not finite.
    """
    device, layouts = next(model.parameters()).device, exact_layouts(model)

    def one_pass(run: slice) -> list[Scores]:
        row = pack(items[run], layouts).to(device)
        logits = label_logits(model, row)
        label_nll = token_nll(logits, row).double()
        nll = row.per_answer(label_nll).tolist()
        losses = [part.tolist() for part in label_nll.split(row.lengths)]
        hits = [part.tolist() for part in (logits.argmax(-1) == row.labels).split(row.lengths)]
        ends = accumulate(len(item.answers) for item in items[run])
        parts = [slice(end - len(item.answers), end) for item, end in zip(items[run], ends, strict=True)]
        return [Scores(nll[part], row.lengths[part], losses[part], hits[part]) for part in parts]

    for scores in share(list(plan_passes(items, tokens_per_pass, layouts)), one_pass):
        # All processes receive the same scores, so all of them stop here.
        if not all(isfinite(nll) for each in scores for nll in each.nll):
            raise Diverged("the loss of an answer is not finite")
        yield from scores
