"""Layouts of answers in forward passes, such that each answer has the same NLL as alone.

Packed: a row is a forest. Each question is a tree with the prompt as trunk and the answers as branches, and positions count from
the first token of the trunk. A token attends to its own branch and trunk: in attention alone, each answer has its own row, after
its prompt (see `attention.py`), which replaces the model's mask.
Padded: each answer has its own row, after its prompt. The model makes its own mask; no token attends to the padding on the
right. Even: like padded, but all rows of a forward call have equal length, so there is no padding.

`layouts.py` finds the layouts that are exact for a model.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import accumulate
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from palimpsest.data.prompts import Encoded
from palimpsest.models.attention import NO_MASK, PACKED_ROWS, PackedRows, learn_packed_rows, packed_rows


class Layout(IntEnum):
    """How answers share a forward pass, from the fastest layout to the one with the fewest assumptions about the model."""

    PACKED = 0
    PADDED = 1
    EVEN = 2


@dataclass(frozen=True)
class Layouts:
    """The layouts that are exact for a model: packed up to `window` tokens, padded up to `reach` tokens, even for any length.

    The limits count the tokens of a sequence, a prompt with one answer; a whole packed row also has at most `reach` tokens.
    """

    window: float = inf
    reach: float = inf
    arguments: frozenset[str] = frozenset({"use_cache", "logits_to_keep"})
    """Which of these two arguments the model's forward method has."""

    def of(self, items: Sequence[Encoded]) -> Layout:
        """Return the fastest layout that is exact for all of the items together."""
        longest = max(len(item.prompt) + max(map(len, item.answers)) for item in items)
        if longest <= self.window and sum(item.tokens for item in items) <= self.reach:
            return Layout.PACKED
        return Layout.PADDED if longest <= self.reach else Layout.EVEN


@dataclass(frozen=True)
class Pass:
    """One forward pass: the arguments of the model's calls (one call per row length) and the positions of the labels.

    `labels` has shape (N,), answer after answer. `predictors` are the indices of the logits that predict the labels, among the
    concatenated logits of all calls; None if the calls return exactly these logits, in order.
    """

    calls: list[dict[str, Any]]
    predictors: Tensor | None
    labels: Tensor
    lengths: list[int]
    """Number of labels of each answer, in the order of the questions and their answers; they sum to N."""
    tokens: Tensor | None
    """Indices of the items' tokens (each prompt once) among the positions of the only call; None for all positions."""

    def to(self, device: torch.device) -> Pass:
        """Return the pass with its tensors on a device."""
        calls = [{name: _moved(value, device) for name, value in call.items()} for call in self.calls]
        moved = {name: _moved(getattr(self, name), device) for name in ("predictors", "labels", "tokens")}
        return replace(self, calls=calls, **moved)

    def per_answer(self, values: Tensor) -> Tensor:
        """Sum values per label, shape (N,), to one value per answer, in a fixed order so that the result is reproducible."""
        return torch.stack([part.sum() for part in values.split(self.lengths)])


@dataclass(frozen=True)
class _Load:
    """The size of a forward pass: the tokens of a packed row, or the rows and their lengths."""

    layout: Layout
    packed: int
    rows: int
    lengths: frozenset[int]

    @classmethod
    def of(cls, item: Encoded, layouts: Layouts) -> _Load:
        lengths = frozenset(len(item.prompt) + len(answer) for answer in item.answers)
        return cls(layouts.of([item]), item.tokens, len(item.answers), lengths)

    @property
    def tokens(self) -> int:
        return self.packed if self.layout is Layout.PACKED else self.rows * max(self.lengths)

    def with_(self, other: _Load, most: float) -> _Load | None:
        """Return the combined load, or None if both cannot share a pass of `most` tokens."""
        both = _Load(self.layout, self.packed + other.packed, self.rows + other.rows, self.lengths | other.lengths)
        apart = self.layout is not other.layout or (self.layout is Layout.EVEN and len(both.lengths) > 1)
        return None if apart or both.tokens > most else both


def plan_passes(items: Sequence[Encoded], tokens_per_pass: int, layouts: Layouts) -> Iterator[slice]:
    """Group items, in order, into passes of one layout and at most `tokens_per_pass` tokens; a larger item has its own pass."""
    start, load = 0, None
    for index, item in enumerate(items):
        own = _Load.of(item, layouts)
        most = min(tokens_per_pass, layouts.reach) if own.layout is Layout.PACKED else tokens_per_pass
        joined = load and load.with_(own, most)
        if load and joined is None:
            yield slice(start, index)
            start = index
        load = joined or own
    if items:
        yield slice(start, len(items))


def plan_shares(items: Sequence[Encoded], tokens_per_pass: int, layouts: Layouts, count: int) -> list[list[slice]]:
    """Divide items, in order, into `count` shares of about equally many tokens (or none), and each share into passes."""
    tokens = [_Load.of(item, layouts).tokens for item in items]
    ends = list(accumulate(tokens))
    owners = [int((end - own / 2) * count / ends[-1]) for end, own in zip(ends, tokens, strict=True)]
    shares = []
    for owner in range(count):
        first, last = bisect_left(owners, owner), bisect_right(owners, owner)
        runs = plan_passes(items[first:last], tokens_per_pass, layouts)
        shares.append([slice(first + run.start, first + run.stop) for run in runs])
    return shares


def pack(items: Sequence[Encoded], layouts: Layouts) -> Pass:
    """Arrange items for one pass in the fastest layout that is exact for all of them.

    Questions of equal lengths with one answer each form a plain batch, which needs neither rows of its own nor padding.
    Raises ValueError for a question without a prompt, because the preceding token would predict its first label.
    """
    if not all(item.prompt for item in items):
        raise ValueError("a question without a prompt: no token predicts the first token of its answer")
    layout = layouts.of(items)
    shapes = {(len(item.prompt), *map(len, item.answers)) for item in items}
    alike = len(shapes) == 1 and len(items[0].answers) == 1
    if layout is Layout.PACKED and not alike:
        return _forest(items, layouts)
    return _rows(items, layouts, even=layout is Layout.EVEN)


def _forest(items: Sequence[Encoded], layouts: Layouts) -> Pass:
    ids: list[int] = []
    positions: list[int] = []
    sequences: list[Sequence[int]] = []
    predictors: list[int] = []
    labels: list[int] = []
    lengths: list[int] = []
    for item in items:
        trunk = range(len(ids), len(ids) + len(item.prompt))
        ids += item.prompt
        positions += range(len(trunk))
        for answer in item.answers:
            branch = range(len(ids), len(ids) + len(answer))
            ids += answer
            positions += range(len(trunk), len(trunk) + len(answer))
            sequences.append([*trunk, *branch])
            predictors += [trunk[-1], *branch[:-1]]
            labels += answer
            lengths.append(len(answer))
    kept = torch.tensor(predictors)
    given = {"position_ids": torch.tensor([positions]), "attention_mask": NO_MASK, PACKED_ROWS: packed_rows(sequences)}
    call = _call(layouts, torch.tensor([ids]), kept, **given)
    return Pass([call], None if "logits_to_keep" in call else kept, torch.tensor(labels), lengths, None)


def _rows(items: Sequence[Encoded], layouts: Layouts, *, even: bool) -> Pass:
    """Arrange each answer as its own row: in one call with right padding, or in one call per length."""
    rows = [item.prompt + answer for item in items for answer in item.answers]
    trunks = [len(item.prompt) for item in items for _ in item.answers]
    widths = sorted(set(map(len, rows))) if even else [max(map(len, rows))]
    # The output head does not need the columns before the first label.
    first = min(trunks) - 1 if "logits_to_keep" in layouts.arguments else 0
    calls, seen = [], 0
    starts = [0] * len(rows)
    for width in widths:
        here = [index for index, row in enumerate(rows) if not even or len(row) == width]
        # The padding token is arbitrary, because no earlier token attends to it.
        ids = torch.tensor([rows[index] + rows[index][-1:] * (width - len(rows[index])) for index in here])
        calls.append(_call(layouts, ids, torch.arange(first, width - 1)))
        for index in here:
            starts[index] = seen + trunks[index] - 1 - first
            seen += width - 1 - first if "logits_to_keep" in layouts.arguments else width
    answers = [answer for item in items for answer in item.answers]
    labels = torch.tensor([token for answer in answers for token in answer])
    predictors = None
    if len(labels) < seen or len(calls) > 1:
        predictors = torch.cat([start + torch.arange(len(answer)) for start, answer in zip(starts, answers, strict=True)])
    return Pass(calls, predictors, labels, list(map(len, answers)), _item_tokens(items, widths[-1]))


def _item_tokens(items: Sequence[Encoded], width: int) -> Tensor | None:
    """Return the indices of the items' tokens in padded rows; the prompt counts in the row of its first answer."""
    if all(len(item.answers) == 1 and item.tokens == width for item in items):
        return None
    places: list[Tensor] = []
    row = 0
    for item in items:
        places.append(row * width + torch.arange(len(item.prompt)))
        for answer in item.answers:
            places.append(row * width + len(item.prompt) + torch.arange(len(answer)))
            row += 1
    return torch.cat(places)


def _call(layouts: Layouts, ids: Tensor, kept: Tensor, **more: Any) -> dict[str, Any]:
    given = {"input_ids": ids, **more}
    return given | {name: value for name, value in (("logits_to_keep", kept), ("use_cache", False)) if name in layouts.arguments}


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor | PackedRows) else value


def label_logits(model: Callable[..., Any], row: Pass) -> Tensor:
    """Return the logits that predict the labels, shape (N, vocabulary); the output head computes few other positions."""
    learn_packed_rows()
    parts: list[Tensor] = [model(**call).logits.flatten(0, 1) for call in row.calls]
    # A single part is not copied.
    logits = torch.cat(parts) if len(parts) > 1 else parts[0]
    return logits if row.predictors is None else logits[row.predictors]


def token_nll(logits: Tensor, row: Pass) -> Tensor:
    """Return -log p of each label, shape (N,), in single precision."""
    return F.cross_entropy(logits.float(), row.labels, reduction="none")


def label_divergence(reference: Tensor, logits: Tensor) -> Tensor:
    """Return KL(reference || model) in nats at each label, shape (N,), from logits (N, vocabulary), in single precision."""
    target, current = F.log_softmax(reference.float(), dim=-1), F.log_softmax(logits.float(), dim=-1)
    return F.kl_div(current, target, reduction="none", log_target=True).sum(-1)
