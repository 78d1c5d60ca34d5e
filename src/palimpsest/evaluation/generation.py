"""Greedy generation: answers to questions, and continuations of texts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import torch

from palimpsest.errors import Diverged
from palimpsest.models.batches import exact_batches
from palimpsest.processes import share
from palimpsest.progress import track

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS_PER_BATCH = 64


def generate_answers(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], max_new_tokens: int
) -> list[str]:
    """Return the greedy continuation of each prompt like `continue_texts`, without surrounding blanks."""
    return [text.strip() for text in continue_texts(model, tokenizer, prompts, max_new_tokens)]


@torch.no_grad()
def continue_texts(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], max_new_tokens: int
) -> list[str]:
    """Return the greedy continuation of each prompt, in order, without special tokens.

    Prompts of similar length share a batch, with left padding if it is exact for the model; a batch ends when all rows have
    reached EOS. Several processes divide the batches. Raises Diverged if a prediction is NaN, which would be taken for a token.
    """
    batches = list(exact_batches(model).cut(list(map(len, prompts)), max_new_tokens, ROWS_PER_BATCH))

    def one_batch(batch: list[int]) -> list[str] | None:
        are_nan: list[torch.Tensor] = []

        def look(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            are_nan.append(scores.isnan().any())
            return scores

        width = len(prompts[batch[-1]])
        padding = [width - len(prompts[i]) for i in batch]
        ids = [[tokenizer.pad_token_id] * pad + prompts[i] for pad, i in zip(padding, batch, strict=True)]
        mask = [[0] * pad + [1] * (width - pad) for pad in padding]
        output = model.generate(  # type: ignore[operator]
            input_ids=torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            logits_processor=[look],
            do_sample=False,
            num_beams=1,
            # A sharded model is gathered during evaluation, and the other processes have other batches.
            synced_gpus=False,
            # Otherwise transformers would warn about a chat model's sampling defaults.
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        if torch.stack(are_nan).any():
            return None
        return [str(tokenizer.decode(row, skip_special_tokens=True)) for row in output[:, width:]]

    texts: list[str] = []
    for of_batch in track(share(batches, one_batch), "generate", total=len(batches)):
        if of_batch is None:
            raise Diverged("a prediction in generation is NaN")
        texts += of_batch
    said = dict(zip(chain.from_iterable(batches), texts, strict=True))
    return [said[index] for index in range(len(prompts))]
