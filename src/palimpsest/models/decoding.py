"""Decoding of a batch with memory for all keys and values set aside at once, and without the rows that have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from palimpsest.data.prompts import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The share of rows that must have ended before they are dropped, because dropping copies the keys and values of the others.
ENDED = 0.25


def end_tokens(model: Any, tokenizer: PreTrainedTokenizerBase, end: int | None = None) -> list[int]:
    """Return the tokens that end generated text: EOS, the token that ends an answer, and those of the model's generation config.

    Of the last, only special tokens count: a config that was never adapted to its tokenizer may name the token of a word.
    """
    given = model.generation_config.eos_token_id
    own = {given} if isinstance(given, int) else {*(given or ())}
    always = {tokenizer.eos_token_id, end} - {None}
    return sorted(always | (own & special_ids(tokenizer)[0]))


def left_padded(prompts: Sequence[list[int]], pad: int, device: torch.device) -> dict[str, Tensor]:
    """Return the token ids and the mask of a batch of prompts, padded on the left, each of shape (rows, tokens)."""
    padding = [max(map(len, prompts)) - len(prompt) for prompt in prompts]
    ids = [[pad] * size + prompt for size, prompt in zip(padding, prompts, strict=True)]
    mask = [[0] * size + [1] * len(prompt) for size, prompt in zip(padding, prompts, strict=True)]
    return {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(mask, device=device)}


def likeliest(rows: Tensor, step: int, scores: Tensor) -> Tensor:
    """Return the token with the highest score of each row, (rows,)."""
    return scores.argmax(-1)


def decode(
    model: Any,
    input_ids: Tensor,
    logits_processor: Callable[[Tensor, Tensor], Tensor],
    stopping_criteria: Any,
    generation_config: Any,
    *,
    look: Callable[[Tensor, Tensor], None],
    drops: bool,
    choose: Callable[[Tensor, int, Tensor], Tensor] = likeliest,
    **inputs: Any,
) -> Tensor:
    """Decode as `model.generate` does, which takes this function as its `custom_generate`; return the new tokens, (rows, tokens).

    `look` receives the indices of the rows in each forward pass, shape (rows,), and their scores, shape (rows, vocabulary).
    `choose` returns their next tokens, shape (rows,), from these and the number of tokens decoded before. With `drops`, rows that
    have ended leave the batch; the memory of the model must then be a cache of transformers.
    """
    pad, most, width = generation_config._pad_token_tensor, generation_config.max_length, input_ids.shape[1]
    _set_aside(inputs.get("past_key_values"), most)
    rows = torch.arange(len(input_ids), device=input_ids.device)
    have_ended = torch.zeros_like(rows, dtype=torch.bool)
    output = input_ids.new_full((len(rows), most), pad)
    passed = model._prefill(input_ids, generation_config, inputs)
    with model._optimize_model_for_decode():
        while True:
            inputs = model._update_model_kwargs_for_generation(passed, inputs, model.config.is_encoder_decoder)
            # A copy, so that the logits of a whole prompt do not stay in memory.
            scores = logits_processor(input_ids, passed.logits[:, -1].to(torch.float32, copy=True))
            del passed
            look(rows, scores)
            tokens = choose(rows, input_ids.shape[1] - width, scores).masked_fill(have_ended, pad)
            input_ids = torch.cat([input_ids, tokens[:, None]], dim=-1)
            have_ended |= stopping_criteria(input_ids, None)
            output[rows, : input_ids.shape[1]] = input_ids
            ended = int(have_ended.sum())
            if ended == len(rows):
                return output[:, width : input_ids.shape[1]]
            if drops and ended >= ENDED * len(rows):
                kept = (~have_ended).nonzero().flatten()
                rows, input_ids, have_ended = rows[kept], input_ids[kept], have_ended[kept]
                inputs = {name: _rows_of(value, kept) for name, value in inputs.items()}
            inputs["next_sequence_length"] = 1 if inputs["use_cache"] else None
            passed = model(**model.prepare_inputs_for_generation(input_ids, **inputs), return_dict=True)


class _SetAside:
    """A layer with memory for the keys and values of `room` tokens; other layers copy all of them at each new token."""

    memory: list[Tensor] | None = None

    def update(self: Any, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add the keys and values of the next tokens; return all of them, shape (rows, heads, tokens, width)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, new = self.get_seq_length(), (key_states, value_states)
        end = start + key_states.shape[-2]
        if self.memory is None:
            self.memory = [each.new_empty(*each.shape[:-2], self.room, each.shape[-1]) for each in new]
            if start:
                for memory, old in zip(self.memory, (self.keys, self.values), strict=True):
                    memory[..., :start, :] = old
        for memory, each in zip(self.memory, new, strict=True):
            memory[..., start:end, :] = each
        self.keys, self.values = (memory[..., :end, :] for memory in self.memory)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep the rows with these indices."""
        super().reorder_cache(beam_idx)  # type: ignore[misc]
        self.memory = None


class _FullLayer(_SetAside, DynamicLayer):
    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room


class _WindowLayer(_SetAside, DynamicSlidingWindowLayer):
    """A layer whose window is larger than all tokens, so that none of them leaves it."""

    def __init__(self, room: int, window: int) -> None:
        super().__init__(window)
        self.room = room

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        updated = super().update(key_states, value_states)
        self.cumulative_length += key_states.shape[-2]
        return updated


def _set_aside(cache: Any, room: int) -> None:
    """Set memory for `room` tokens aside in the layers of an empty cache that keep all tokens; others stay the model's own."""
    if not isinstance(cache, DynamicCache):
        return
    for number, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[number] = _FullLayer(room)
        elif type(layer) is DynamicSlidingWindowLayer and room < layer.sliding_window:
            cache.layers[number] = _WindowLayer(room, layer.sliding_window)


def _rows_of(value: Any, rows: Tensor) -> Any:
    """Return the rows of an input of the model: a cache, or a mask or positions, shape (..., rows, tokens)."""
    if isinstance(value, Cache):
        value.reorder_cache(rows)  # type: ignore[arg-type]
    return value.index_select(-2, rows) if isinstance(value, Tensor) else value
