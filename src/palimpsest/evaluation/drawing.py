"""Answers that are sampled, each with a random stream of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from palimpsest.evaluation.generation import generate_answers

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def sample_answers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    streams: Iterable[np.random.Generator],
    *,
    temperature: float,
    max_new_tokens: int,
    end: int,
) -> list[str]:
    """Return a continuation of each prompt, sampled with a stream of its own, so that it depends on no other of its batch."""
    numbers = np.stack([random.random(max_new_tokens) for random in streams])

    def choose(asked: list[int], step: int, scores: Tensor) -> Tensor:
        return sample_tokens(scores / temperature, torch.from_numpy(numbers[asked, step]))

    return generate_answers(model, tokenizer, prompts, max_new_tokens, end, choose)


def sample_tokens(logits: Tensor, numbers: Tensor) -> Tensor:
    """Return a token per row, (rows,): the distributions of `logits`, (rows, vocabulary), inverted at `numbers` in [0, 1)."""
    sums = logits.double().softmax(-1).cumsum(-1)
    # Relative to the sum, which may miss 1 by rounding.
    wanted = numbers.to(sums)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
