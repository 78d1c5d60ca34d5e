"""Our decoding returns the same tokens as transformers, with any preallocated memory and after any rows leave the batch."""

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from families import build_family
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batches import TOKENIZER, prompts
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from palimpsest.evaluation import generation
from palimpsest.evaluation.generation import continue_texts
from palimpsest.models import decoding

# A window that is passed, one that is not, one layer of each kind, a sparse cache, states beside keys, and states alone.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "gpt2": ("gpt2", {}),
    "small window": ("mistral", {"sliding_window": 8}),
    "large window": ("mistral", {"sliding_window": 64}),
    "both": ("gemma3_text", {"sliding_window": 8}),
    "sparse": ("deepseek_v32", {"index_topk": 12}),
    "convolved": ("lfm2", {}),
    "recurrent": ("mamba", {}),
}
MODELS = {name: build_family(kind, vocab_size=len(TOKENIZER), **changes) for name, (kind, changes) in KINDS.items()}


def continued(model: Any, prompt: list[int], new_tokens: int, eos: int | None = None) -> list[int]:
    """Transformers' own greedy continuation of one prompt."""
    settings = {"do_sample": False, "num_beams": 1, "eos_token_id": TOKENIZER.eos_token_id if eos is None else eos}
    said = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=new_tokens, pad_token_id=1, **settings)
    return said[0, len(prompt) :].tolist()


def ending_with(token: int) -> Any:
    """The tokenizer with another EOS."""
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(token)
    return tokenizer


def texts_of(tokens: Iterable[list[int]]) -> list[str]:
    return [TOKENIZER.decode(row, skip_special_tokens=True) for row in tokens]


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 99), ends=st.integers(0, 8), tokens=st.integers(20, 200))
@settings(max_examples=4, deadline=None)
def test_a_batch_says_what_transformers_says_of_each_prompt_wherever_rows_end(
    kind: str, seed: int, ends: int, tokens: int
) -> None:
    model, asked = MODELS[kind], prompts(seed)
    first = continued(model, asked[0], 9)
    eos = first[ends % len(first)]
    expected = [continued(model, prompt, 12, eos) for prompt in asked]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "CPU_TOKENS", tokens)
        said = continue_texts(model, ending_with(eos), asked, 12)
    assert said == texts_of(expected)


def test_rows_that_have_ended_leave_the_batch() -> None:
    model, asked = copy.deepcopy(MODELS["llama"]), prompts()
    eos = continued(model, asked[1], 3)[-1]
    lengths = [len(continued(model, prompt, 12, eos)) for prompt in asked]
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, args, given: rows.append(len(given["input_ids"])), with_kwargs=True)
    continue_texts(model, ending_with(eos), asked, 12)
    # The trial calls the model too; only the last calls belong to the batch.
    taken = rows[-max(lengths) :]
    assert taken[0] == len(asked) and taken == sorted(taken, reverse=True)
    for step, left in enumerate(taken):
        working = sum(length > step for length in lengths)
        assert working <= left < working / 0.75 + 1


def cache_after(model: Any, drops: bool) -> tuple[DynamicCache, list[int]]:
    """The cache after a batch, and the addresses of the first layer's keys at each step."""
    cache, places = DynamicCache(config=model.config), []

    def look(rows: torch.Tensor, scores: torch.Tensor) -> None:
        places.append(cache.layers[0].keys.data_ptr())

    def decode(*given: Any, **more: Any) -> Any:
        return decoding.decode(*given, look=look, drops=drops, **more)

    ids = torch.tensor([prompts()[1]] * 2)
    model.generate(input_ids=ids, past_key_values=cache, custom_generate=decode, do_sample=False, max_new_tokens=6)
    return cache, places


def test_the_memory_of_a_batch_is_set_aside_once_and_a_small_window_keeps_its_own_layers() -> None:
    cache, places = cache_after(MODELS["llama"], drops=False)
    assert len(places) == 6 and len(set(places)) == 1
    assert all(isinstance(layer, DynamicLayer) for layer in cache.layers)
    cache, places = cache_after(MODELS["large window"], drops=False)
    assert len(set(places)) == 1
    assert all(isinstance(layer, DynamicSlidingWindowLayer) for layer in cache.layers)
    cache, _ = cache_after(MODELS["small window"], drops=False)
    assert {type(layer) for layer in cache.layers} == {DynamicSlidingWindowLayer}


def test_a_batch_for_which_a_gpu_has_no_memory_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = MODELS["llama"], []
    expected = continue_texts(model, TOKENIZER, prompts(), 4)

    def decode(model: Any, input_ids: torch.Tensor, *given: Any, **more: Any) -> torch.Tensor:
        sizes.append(len(input_ids))
        if len(input_ids) > limit:
            raise torch.OutOfMemoryError
        return decoding.decode(model, input_ids, *given, **more)

    monkeypatch.setattr(generation, "decode", decode)
    limit = 2
    assert continue_texts(model, TOKENIZER, prompts(), 4) == expected
    assert sizes == [6, 3, 1, 2, 3, 1, 2]
    limit = 0
    with pytest.raises(torch.OutOfMemoryError):
        continue_texts(model, TOKENIZER, prompts(), 4)
