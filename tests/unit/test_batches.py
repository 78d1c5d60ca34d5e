"""A prompt is continued the same way whatever shares its batch, in any family of models; and so it is inside lm-eval."""

import logging
from itertools import pairwise
from math import inf
from typing import Any

import pytest
import torch
from families import build_family
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.api.instance import Instance

from palimpsest.errors import UserError
from palimpsest.evaluation.generation import continue_texts
from palimpsest.evaluation.lm_eval.harness import SharedHFLM
from palimpsest.models import batches as module
from palimpsest.models.batches import Batches, exact_batches
from palimpsest.models.tiny import train_tokenizer

TEXTS = ["Who keeps the lighthouse of Ostholm?", "Ingrid keeps it, and her brother the ferry.", "Where?"] * 9
TOKENIZER: Any = train_tokenizer(TEXTS, 320)
# How each family is continued; the bound of the sparse one is passed by some of the prompts below.
KINDS: dict[str, tuple[dict[str, Any], Batches]] = {
    "llama": ({}, Batches()),
    "gpt2": ({}, Batches()),
    "mistral": ({"sliding_window": 8}, Batches()),
    "deepseek_v32": ({"index_topk": 12}, Batches(reach=12)),
    "recurrent_gemma": ({}, Batches(reach=0, drops=False)),
    "rwkv": ({}, Batches(reach=0, even=False, drops=False)),
}


def model_of(kind: str) -> Any:
    return build_family(kind, vocab_size=len(TOKENIZER), **KINDS[kind][0])


def prompts(seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = [3, 9, 2, 14, 5, 9]
    return [torch.randint(3, 300, (length,), generator=generator).tolist() for length in lengths]


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_continues_each_prompt_as_it_is_alone(kind: str) -> None:
    model = model_of(kind)
    assert exact_batches(model) == KINDS[kind][1]
    together = continue_texts(model, TOKENIZER, prompts(), 4)
    alone = [continue_texts(model, TOKENIZER, [prompt], 4)[0] for prompt in prompts()]
    assert together == alone
    assert len(set(alone)) > 1


def test_the_log_says_what_is_not_padded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "_found", {})
    caplog.set_level(logging.INFO, "palimpsest")
    for kind in ("llama", "recurrent_gemma", "recurrent_gemma", "rwkv"):
        exact_batches(model_of(kind))
    assert caplog.messages == [
        "RecurrentGemmaForCausalLM: padding changes its output: only prompts of equal length share a batch",
        "RwkvForCausalLM: batching changes its output: each prompt is continued by itself",
    ]


def test_a_model_that_cannot_continue_a_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("llama")
    model.config.eos_token_id = 7
    model.prepare_inputs_for_generation = None
    with pytest.raises(UserError, match=r"^LlamaForCausalLM: it cannot continue a text: TypeError: "):
        exact_batches(model)


@given(
    lengths=st.lists(st.integers(1, 30), max_size=30),
    new_tokens=st.integers(1, 10),
    tokens=st.integers(1, 200),
    reach=st.integers(0, 40) | st.just(inf),
    even=st.booleans(),
)
def test_batches_hold_each_prompt_once_and_pad_none_beyond_the_reach(
    lengths: list[int], new_tokens: int, tokens: int, reach: float, even: bool
) -> None:
    cut = list(Batches(reach, even).cut(lengths, new_tokens, tokens))
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    assert [index for batch in cut for index in batch] == order

    def size(batch: list[int]) -> int:
        return len(batch) * (max(lengths[index] for index in batch) + new_tokens)

    if reach == inf:
        assert all(size([*batch, following[0]]) > tokens for batch, following in pairwise(cut))
    for batch in cut:
        assert len(batch) == 1 or size(batch) <= tokens
        if max(lengths[index] for index in batch) + new_tokens > reach:
            assert len({lengths[index] for index in batch}) == 1
            assert even or len(batch) == 1


TEXT = "Who keeps the lighthouse of Ostholm? Ingrid keeps it, and her brother the ferry. Where? Who? Ingrid."
CONTEXTS = [TEXT[:length] for length in (3, 40, 95, 17)]


@pytest.mark.parametrize("kind", ["llama", "deepseek_v32", "recurrent_gemma"])
def test_lm_eval_hears_and_reckons_in_batches_what_it_does_one_by_one(kind: str) -> None:
    model = model_of(kind)

    def answers(rows: int) -> tuple[list[str], list[float]]:
        harness = SharedHFLM(pretrained=model, tokenizer=TOKENIZER, batch_size=rows)
        settings = {"until": ["lighthouse of Ostholm"], "max_gen_toks": 4, "do_sample": False}
        asked = [Instance("generate_until", {}, (text, settings), number) for number, text in enumerate(CONTEXTS)]
        read = [Instance("loglikelihood", {}, (text, " Ingrid keeps it"), number) for number, text in enumerate(CONTEXTS)]
        said = harness.generate_until(asked, disable_tqdm=True)
        return said, [value for value, _ in harness.loglikelihood(read, disable_tqdm=True)]

    (said, reckoned), (alone, each) = answers(16), answers(1)
    assert said == alone and len(set(alone)) > 1
    assert reckoned == pytest.approx(each, rel=1e-4)
