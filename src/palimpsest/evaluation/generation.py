"""Generation: answers to questions, and continuations of texts, greedy unless the caller chooses each token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from palimpsest.errors import Diverged
from palimpsest.models.batches import exact_batches, run_divided
from palimpsest.models.decoding import decode, end_tokens, left_padded
from palimpsest.processes import share
from palimpsest.progress import track

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# The most tokens of a batch, prompts and continuations together; memory for all of them is allocated before the first.
CPU_TOKENS, GPU_TOKENS = 2**14, 2**15
# Returns the next token of some prompts, (prompts,), from their places among all, the number of tokens generated before, and
# their scores, (prompts, vocabulary).
Choose = Callable[[list[int], int, Tensor], Tensor]


def generate_answers(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    end: int | None = None,
    choose: Choose | None = None,
) -> list[str]:
    """Return the continuation of each prompt like `continue_texts`, without surrounding blanks."""
    return [text.strip() for text in continue_texts(model, tokenizer, prompts, max_new_tokens, end, choose)]


def continue_texts(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    end: int | None = None,
    choose: Choose | None = None,
) -> list[str]:
    """Return the continuation of each prompt, in order, without special tokens, up to `end` or another `end_tokens`.

    It is greedy, or made of the tokens that `choose` returns.
    Prompts of similar length share a batch, with left padding if it is exact for the model; a row that has ended leaves its
    batch. Several processes divide the batches. Raises Diverged if a prediction is NaN, which would be taken for a token.
    """
    exact, most = exact_batches(model), GPU_TOKENS if model.device.type == "cuda" else CPU_TOKENS
    batches = list(exact.cut(list(map(len, prompts)), max_new_tokens, most))
    ends = end_tokens(model, tokenizer, end)

    def one_batch(batch: list[int]) -> list[str | None]:
        asked = [prompts[index] for index in batch]

        def chosen(rows: Tensor, step: int, scores: Tensor) -> Tensor:
            return choose([batch[row] for row in rows.tolist()], step, scores) if choose else scores.argmax(-1)

        return _one_batch(model, tokenizer, asked, max_new_tokens, ends, chosen, drops=exact.drops)

    texts: list[str] = []
    for of_batch in track(share(batches, partial(run_divided, one_batch)), "generate", total=len(batches)):
        for text in of_batch:
            if text is None:
                raise Diverged("a prediction in generation is NaN")
            texts.append(text)
    said = dict(zip(chain.from_iterable(batches), texts, strict=True))
    return [said[index] for index in range(len(prompts))]


def _one_batch(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    ends: list[int],
    choose: Callable[[Tensor, int, Tensor], Tensor],
    *,
    drops: bool,
) -> list[str | None]:
    """Return the continuations of one batch; they are None if a prediction is NaN."""
    are_nan: list[Tensor] = []
    tokens = model.generate(  # type: ignore[operator]
        **left_padded(prompts, tokenizer.pad_token_id, model.device),
        custom_generate=partial(decode, look=lambda _, scores: are_nan.append(scores.isnan().any()), choose=choose, drops=drops),
        do_sample=False,
        num_beams=1,
        # Otherwise transformers would warn about a chat model's sampling defaults.
        temperature=None,
        top_p=None,
        top_k=None,
        max_new_tokens=max_new_tokens,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
    )
    if torch.stack(are_nan).any():
        return [None] * len(prompts)
    return [str(tokenizer.decode(row, skip_special_tokens=True)) for row in tokens]
