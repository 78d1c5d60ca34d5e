"""Scoring answers without padding: questions packed into one row, all answers of a question behind one shared prompt.

A row is a forest: each question is a tree whose trunk is the prompt and whose branches are the answers. A token sees its
own branch and its trunk, and positions count from the trunk's first token, so every answer is scored as if it stood alone.
Questions of one shape with one answer each are a batch already, and need no mask.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from palimpsest.data.prompts import Encoded
from palimpsest.processes import share


@dataclass(frozen=True)
class Pass:
    """One forward pass: (rows, T) ids, and of a packed row (1, T) positions and a (1, 1, T, T) mask.

    `predictors` say where, in each row, labels are predicted; labels are (N,), row after row.
    """

    input_ids: Tensor
    position_ids: Tensor | None
    mask: Tensor | None
    predictors: Tensor
    labels: Tensor
    lengths: list[int]
    """Labels of each answer, in the order of the questions and of their answers; they sum to N."""

    def to(self, device: torch.device) -> Pass:
        """Return the pass with its tensors on a device."""
        return Pass(
            self.input_ids.to(device),
            None if self.position_ids is None else self.position_ids.to(device),
            None if self.mask is None else self.mask.to(device),
            self.predictors.to(device),
            self.labels.to(device),
            self.lengths,
        )

    def per_answer(self, values: Tensor) -> Tensor:
        """Sum a value per label, shape (N,), into one per answer; in a fixed order, so that it repeats on any device."""
        return torch.stack([part.sum() for part in values.split(self.lengths)])


def plan_passes(items: Sequence[Encoded], tokens_per_pass: int) -> Iterator[slice]:
    """Cut items, in order, into runs of at most `tokens_per_pass` tokens; a longer item is a run of its own."""
    start, used = 0, 0
    for index, item in enumerate(items):
        if index > start and used + item.tokens > tokens_per_pass:
            yield slice(start, index)
            start, used = index, 0
        used += item.tokens
    if items:
        yield slice(start, len(items))


def plan_shares(items: Sequence[Encoded], tokens_per_pass: int, count: int) -> list[list[slice]]:
    """Cut items, in order, into `count` shares of about as many tokens, and each share into passes; a share may be empty."""
    ends = list(accumulate(item.tokens for item in items))
    owners = [int((end - item.tokens / 2) * count / ends[-1]) for item, end in zip(items, ends, strict=True)]
    shares = []
    for owner in range(count):
        first, last = bisect_left(owners, owner), bisect_right(owners, owner)
        runs = plan_passes(items[first:last], tokens_per_pass)
        shares.append([slice(first + run.start, first + run.stop) for run in runs])
    return shares


def pack(items: Sequence[Encoded]) -> Pass:
    """Lay items into one row, or into a batch where they are alike."""
    shapes = {(len(item.prompt), *map(len, item.answers)) for item in items}
    if len(items) > 1 and len(shapes) == 1 and len(items[0].answers) == 1:
        return _batch(items)
    ids: list[int] = []
    positions: list[int] = []
    trees: list[int] = []
    branches: list[int] = []
    predictors: list[int] = []
    labels: list[int] = []
    lengths: list[int] = []
    for tree, item in enumerate(items):
        trunk = len(item.prompt)
        last = len(ids) + trunk - 1
        ids += item.prompt
        positions += range(trunk)
        trees += [tree] * trunk
        branches += [0] * trunk
        for branch, answer in enumerate(item.answers, start=1):
            first = len(ids)
            ids += answer
            positions += range(trunk, trunk + len(answer))
            trees += [tree] * len(answer)
            branches += [branch] * len(answer)
            predictors += [last, *range(first, first + len(answer) - 1)]
            labels += answer
            lengths.append(len(answer))
    tree_of, branch_of = torch.tensor(trees), torch.tensor(branches)
    same_tree = tree_of[:, None] == tree_of[None, :]
    visible = (branch_of[None, :] == 0) | (branch_of[:, None] == branch_of[None, :])
    return Pass(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        mask=(same_tree & visible).tril()[None, None],
        predictors=torch.tensor(predictors),
        labels=torch.tensor(labels),
        lengths=lengths,
    )


def _batch(items: Sequence[Encoded]) -> Pass:
    trunk, length = len(items[0].prompt), len(items[0].answers[0])
    ids = torch.tensor([item.prompt + item.answers[0] for item in items])
    predictors = torch.arange(trunk - 1, trunk + length - 1)
    return Pass(ids, None, None, predictors, ids[:, trunk:].flatten(), [length] * len(items))


def label_logits(model: Callable[..., Any], row: Pass) -> Tensor:
    """Return the logits that predict the labels, (N, vocabulary): the output head sees no other position."""
    output = model(
        input_ids=row.input_ids,
        position_ids=row.position_ids,
        attention_mask=row.mask,
        logits_to_keep=row.predictors,
        use_cache=False,
    )
    logits: Tensor = output.logits.flatten(0, 1)
    return logits


def token_nll(logits: Tensor, row: Pass) -> Tensor:
    """Return -log p of each label, (N,), in single precision."""
    return F.cross_entropy(logits.float(), row.labels, reduction="none")


def label_divergence(reference: Tensor, logits: Tensor) -> Tensor:
    """Return KL(reference || model) in nats of each label, (N,), from logits (N, vocabulary), in single precision."""
    target, current = F.log_softmax(reference.float(), dim=-1), F.log_softmax(logits.float(), dim=-1)
    return F.kl_div(current, target, reduction="none", log_target=True).sum(-1)


@dataclass(frozen=True)
class Scores:
    """What scoring leaves of one item: for each answer the summed NLL and the number of labels, and of each label the NLL.

    And whether it is hit, that is the argmax.
    """

    nll: list[float]
    tokens: list[int]
    losses: list[list[float]]
    hits: list[list[bool]]


@torch.no_grad()
def score(model: nn.Module, items: Sequence[Encoded], tokens_per_pass: int) -> Iterator[Scores]:
    """Score items one pass at a time, in order, on the model's device; several processes share the passes."""
    device = next(model.parameters()).device

    def one_pass(run: slice) -> list[Scores]:
        row = pack(items[run]).to(device)
        logits = label_logits(model, row)
        label_nll = token_nll(logits, row).double()
        nll = row.per_answer(label_nll).tolist()
        losses = [part.tolist() for part in label_nll.split(row.lengths)]
        hits = [part.tolist() for part in (logits.argmax(-1) == row.labels).split(row.lengths)]
        ends = accumulate(len(item.answers) for item in items[run])
        parts = [slice(end - len(item.answers), end) for item, end in zip(items[run], ends, strict=True)]
        return [Scores(nll[part], row.lengths[part], losses[part], hits[part]) for part in parts]

    for scores in share(list(plan_passes(items, tokens_per_pass)), one_pass):
        yield from scores
