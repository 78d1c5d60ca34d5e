"""Score answers, one forward pass at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite

import torch
from torch import Tensor, nn

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

    Also whether each label is a hit, i.e. the argmax, and of each label of the first answer its standard loss, if asked for.
    """

    nll: list[float]
    tokens: list[int]
    losses: list[list[float]]
    hits: list[list[bool]]
    standard: list[float]


@torch.no_grad()
def score(
    model: nn.Module, items: Sequence[Encoded], tokens_per_pass: int = TOKENS_PER_PASS, *, standardise: bool = False
) -> Iterator[Scores]:
    """Score items in order, one pass at a time, on the model's device; several processes divide the passes.

    With `standardise`, also compute the standard losses of first answers, which takes the whole distribution of each token.
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
        standard: list[list[float]] = [[] for _ in losses]
        if standardise:
            starts = [0, *accumulate(row.lengths)]
            for first in (part.start for part in parts):
                tokens = slice(starts[first], starts[first + 1])
                standard[first] = standard_losses(logits[tokens], label_nll[tokens]).tolist()
        return [Scores(nll[part], row.lengths[part], losses[part], hits[part], standard[part.start]) for part in parts]

    for scores in share(list(plan_passes(items, tokens_per_pass, layouts)), one_pass):
        # All processes receive the same scores, so all of them stop here.
        if not all(isfinite(nll) for each in scores for nll in each.nll):
            raise Diverged("the loss of an answer is not finite")
        yield from scores


def standard_losses(logits: Tensor, nll: Tensor) -> Tensor:
    """Return (NLL - mean) / sd of each token, shape (N,), over the NLLs that the model's prediction gives to all tokens.

    `logits` is (N, vocabulary). This is the negated score of Min-K%++ (Zhang et al., 2404.02936, eq. 3); as in open-unlearning, a
    variance is at least 1e-6.
    """
    all_nll = -logits.float().log_softmax(-1)
    likely = (-all_nll).exp()
    mean = (likely * all_nll).sum(-1)
    variance = (likely * all_nll.square()).sum(-1) - mean.square()
    return (nll.float() - mean) / variance.clamp(min=1e-6).sqrt()
