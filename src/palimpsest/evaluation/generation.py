"""Greedy continuations: answers to questions, and texts as they go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from palimpsest.progress import track

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS_PER_BATCH = 64


def generate_answers(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], max_new_tokens: int
) -> list[str]:
    """Return the greedy continuation of each prompt as `continue_texts` does, outer blanks cut off."""
    return [text.strip() for text in continue_texts(model, tokenizer, prompts, max_new_tokens)]


@torch.no_grad()
def continue_texts(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[list[int]], max_new_tokens: int
) -> list[str]:
    """Return the greedy continuation of each prompt, in order, special tokens cut off.

    Prompts of like length share a batch, padded on the left; a batch ends when its last row has met EOS.
    """
    texts = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    batches = [order[start : start + ROWS_PER_BATCH] for start in range(0, len(order), ROWS_PER_BATCH)]
    for batch in track(batches, "generate", total=len(batches)):
        width = len(prompts[batch[-1]])
        padding = [width - len(prompts[i]) for i in batch]
        ids = [[tokenizer.pad_token_id] * pad + prompts[i] for pad, i in zip(padding, batch, strict=True)]
        mask = [[0] * pad + [1] * (width - pad) for pad in padding]
        output = model.generate(  # type: ignore[operator]
            input_ids=torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            do_sample=False,
            num_beams=1,
            # A chat model's own sampling defaults would only be warned about.
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        for index, row in zip(batch, output[:, width:], strict=True):
            texts[index] = str(tokenizer.decode(row, skip_special_tokens=True))
    return texts
