"""Which prompts may share a batch in generation, and smaller batches where memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from palimpsest import processes
from palimpsest.errors import UserError
from palimpsest.models.decoding import decode, left_padded
from palimpsest.models.layouts import attempt, base_model, is_close, kind_of, limits, ordinary_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger("palimpsest")

Batch = TypeVar("Batch", list[int], Tensor)
Answer = TypeVar("Answer")

STEPS = 3
_found: dict[str, Batches] = {}


@dataclass(frozen=True)
class Batches:
    """The batches that are exact for a model.

    Prompts of any length share a batch with left padding if they have at most `reach` tokens after generation. Longer prompts
    share a batch only with prompts of equal length or, if `even` is false, with none. With `drops`, rows may leave a batch early.
    """

    reach: float = inf
    even: bool = True
    drops: bool = True

    def cut(self, lengths: Sequence[int], new_tokens: int, tokens: int) -> Iterator[list[int]]:
        """Yield batches of at most `tokens` tokens after generation, or of one prompt, starting with the shortest prompts.

        A batch is a list of indices.
        """
        order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
        for length, group in groupby(order, lambda index: 0 if lengths[index] + new_tokens <= self.reach else lengths[index]):
            batch: list[int] = []
            for index in group:
                # The last prompt is the longest.
                fits = (len(batch) + 1) * (lengths[index] + new_tokens) <= tokens
                if batch and not (fits and (self.even or length == 0)):
                    yield batch
                    batch = []
                batch.append(index)
            yield batch


def exact_batches(model: nn.Module) -> Batches:
    """Return the batches in which a model continues each prompt as it does alone; log a warning if padding is not exact."""
    base = base_model(model)
    if (kind := kind_of(base)) not in _found:
        _found[kind] = processes.main_value(_examine(base))
    return _found[kind]


def _examine(model: PreTrainedModel) -> Batches:
    name, prompts = type(model).__name__, ordinary_tokens(model, (2, 5, 5))
    alone = attempt(lambda: [continued for prompt in prompts for continued in _continue(model, [prompt], drops=False)])
    if isinstance(alone, Exception):
        raise UserError(f"{name}: it cannot continue a text: {type(alone).__name__}: {alone}") from alone

    def agree(first: int, *, drops: bool) -> bool:
        return _agree(model, prompts[first:], alone[first:], drops=drops)

    if agree(0, drops=False):
        return Batches(limits(model.config)[1][0], drops=agree(0, drops=True))
    even = agree(1, drops=False)
    if even:
        log.warning("%s: padding changes its output: only prompts of equal length share a batch", name)
    else:
        log.warning("%s: batching changes its output: each prompt is continued by itself", name)
    return Batches(0, even, drops=even and agree(1, drops=True))


def _agree(
    model: PreTrainedModel, prompts: Sequence[list[int]], alone: Sequence[list[tuple[int, Tensor]]], *, drops: bool
) -> bool:
    """Return whether a batch gives the same continuations as its prompts alone, up to ties decided by rounding."""
    together = attempt(lambda: _continue(model, prompts, drops=drops))
    if isinstance(together, Exception):
        return False
    for found, expected in zip(together, alone, strict=True):
        for (token, log_probs), (expected_token, expected_log_probs) in zip(found, expected, strict=False):
            if not is_close(log_probs[None], expected_log_probs[None], model):
                return False
            if token != expected_token:
                break
    return True


@torch.no_grad()
def _continue(model: PreTrainedModel, prompts: Sequence[list[int]], *, drops: bool) -> list[list[tuple[int, Tensor]]]:
    """Return, for each prompt, the generated tokens, each with the log-probabilities of all tokens.

    With `drops`, the first prompt leaves the batch after one token.
    """
    batch = left_padded(prompts, 0, model.device)
    first = batch["input_ids"][0]
    log_probs: list[list[Tensor]] = [[] for _ in prompts]

    def look(rows: Tensor, scores: Tensor) -> None:
        for row, each in zip(rows.tolist(), scores.log_softmax(-1), strict=True):
            log_probs[row].append(each)

    def is_first(so_far: Tensor, scores: Tensor | None, **more: Any) -> Tensor:
        return (so_far[:, : len(first)] == first).all(-1)

    training = model.training
    model.eval()
    tokens: Any = model.generate(  # type: ignore[operator]
        **batch,
        custom_generate=partial(decode, look=look, drops=drops),
        stopping_criteria=[is_first] if drops else None,
        do_sample=False,
        num_beams=1,
        max_new_tokens=STEPS,
        pad_token_id=0,
    )
    model.train(training)
    return [list(zip(row, each, strict=False)) for row, each in zip(tokens.tolist(), log_probs, strict=True)]


def run_divided(work: Callable[[Batch], list[Answer]], batch: Batch) -> list[Answer]:
    """Return the answers to a batch, which is halved, and halved again, where a GPU lacks memory for it."""
    try:
        return work(batch)
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    # Outside the handler, whose traceback would keep the tensors of the failed attempt.
    torch.cuda.empty_cache()
    half = len(batch) // 2
    return [answer for part in (batch[:half], batch[half:]) for answer in run_divided(work, part)]
