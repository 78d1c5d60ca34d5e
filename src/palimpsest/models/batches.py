"""Which prompts may share a batch in generation."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from palimpsest import processes
from palimpsest.errors import UserError
from palimpsest.models.layouts import attempt, base_model, is_close, kind_of, limits, ordinary_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger("palimpsest")

STEPS = 3
_found: dict[str, Batches] = {}


@dataclass(frozen=True)
class Batches:
    """The batches that are exact for a model.

    Prompts of any length share a batch with left padding if they have at most `reach` tokens after generation. Longer prompts
    share a batch only with prompts of equal length or, if `even` is false, with none.
    """

    reach: float = inf
    even: bool = True

    def cut(self, lengths: Sequence[int], new_tokens: int, rows: int) -> Iterator[list[int]]:
        """Yield batches of at most `rows` prompts, as lists of indices, starting with the shortest prompts."""
        order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
        for length, group in groupby(order, lambda index: 0 if lengths[index] + new_tokens <= self.reach else lengths[index]):
            members, most = list(group), rows if self.even or length == 0 else 1
            yield from (members[start : start + most] for start in range(0, len(members), most))


def exact_batches(model: nn.Module) -> Batches:
    """Return the batches in which a model continues each prompt as it does alone; log a warning if padding is not exact."""
    base = base_model(model)
    if (kind := kind_of(base)) not in _found:
        _found[kind] = processes.main_value(_examine(base))
    return _found[kind]


def _examine(model: PreTrainedModel) -> Batches:
    name, prompts = type(model).__name__, ordinary_tokens(model, (2, 5, 5))
    alone = attempt(lambda: [continued for prompt in prompts for continued in _continue(model, [prompt])])
    if isinstance(alone, Exception):
        raise UserError(f"{name}: it cannot continue a text: {type(alone).__name__}: {alone}") from alone
    if _agree(model, prompts, alone):
        return Batches(limits(model.config)[1][0])
    even = _agree(model, prompts[1:], alone[1:])
    if even:
        log.warning("%s: padding changes its output: only prompts of equal length share a batch", name)
    else:
        log.warning("%s: batching changes its output: each prompt is continued by itself", name)
    return Batches(0, even)


def _agree(model: PreTrainedModel, prompts: Sequence[list[int]], alone: Sequence[list[tuple[int, Tensor]]]) -> bool:
    """Return whether a batch gives the same continuations as its prompts alone, up to ties decided by rounding."""
    together = attempt(lambda: _continue(model, prompts))
    if isinstance(together, Exception):
        return False
    for found, expected in zip(together, alone, strict=True):
        for (token, log_probs), (expected_token, expected_log_probs) in zip(found, expected, strict=False):
            if not is_close(log_probs[None], expected_log_probs[None], model.dtype):
                return False
            if token != expected_token:
                break
    return True


@torch.no_grad()
def _continue(model: PreTrainedModel, prompts: Sequence[list[int]]) -> list[list[tuple[int, Tensor]]]:
    """Return, for each prompt, the generated tokens, each with the log-probabilities of all tokens."""
    width = max(map(len, prompts))
    padding = [width - len(prompt) for prompt in prompts]
    ids = [[0] * pad + prompt for pad, prompt in zip(padding, prompts, strict=True)]
    mask = [[0] * pad + [1] * len(prompt) for pad, prompt in zip(padding, prompts, strict=True)]
    training = model.training
    model.eval()
    output: Any = model.generate(  # type: ignore[operator]
        input_ids=torch.tensor(ids, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        do_sample=False,
        num_beams=1,
        synced_gpus=False,
        max_new_tokens=STEPS,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    model.train(training)
    log_probs = torch.stack(output.logits, 1).float().log_softmax(-1)
    tokens = output.sequences[:, width:].tolist()
    return [list(zip(row, each, strict=True)) for row, each in zip(tokens, log_probs, strict=True)]
