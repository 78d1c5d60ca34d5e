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
from lm_eval.models.huggingface import HFLM

from palimpsest.errors import UserError
from palimpsest.evaluation.generation import continue_texts
from palimpsest.evaluation.lm_eval import harness
from palimpsest.models import batches as module
from palimpsest.models import layouts
from palimpsest.models.batches import Batches, exact_batches
from palimpsest.models.layouts import exact_layouts
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


def test_rounding_of_bf16_arithmetic_on_fp32_weights_separates_no_prompts_and_no_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = torch.nn.Linear.forward

    def forward(self: torch.nn.Linear, given: torch.Tensor) -> torch.Tensor:
        out = plain(self, given)
        # As on a GPU, the rounding depends on the number of rows.
        return out * (1 + 2**-7 * (given.shape[:-1].numel() % 2)) if out.dtype is torch.bfloat16 else out

    monkeypatch.setattr(torch.nn.Linear, "forward", forward)
    model = model_of("llama")
    for each in (module, layouts):
        monkeypatch.setattr(each, "_found", {})
    with torch.autocast("cpu", torch.bfloat16):
        assert exact_batches(model) == Batches()
        assert exact_layouts(model).window == inf


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
def test_lm_eval_hears_and_reckons_in_batches_what_it_does_one_by_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes = model_of(kind), []
    # Their trials are no batches of lm-eval.
    exact_layouts(model), exact_batches(model)
    model.register_forward_pre_hook(
        lambda _, args, inputs: shapes.append((args[0] if args else inputs["input_ids"]).shape), with_kwargs=True
    )

    def answers(tokens: int) -> tuple[list[str], list[float]]:
        monkeypatch.setattr(harness, "TOKENS", tokens)
        shapes.clear()
        shared = harness.SharedHFLM(pretrained=model, tokenizer=TOKENIZER)
        settings = {"until": ["lighthouse of Ostholm"], "max_gen_toks": 4, "do_sample": False}
        asked = [Instance("generate_until", {}, (text, settings), number) for number, text in enumerate(CONTEXTS)]
        read = [Instance("loglikelihood", {}, (text, " Ingrid keeps it"), number) for number, text in enumerate(CONTEXTS)]
        said = shared.generate_until(asked, disable_tqdm=True)
        return said, [value for value, _ in shared.loglikelihood(read, disable_tqdm=True)]

    alone, each = answers(1)
    assert all(rows == 1 for rows, _ in shapes) and len(set(alone)) > 1
    for tokens in (64, 2**13):
        said, reckoned = answers(tokens)
        assert any(rows > 1 for rows, _ in shapes) or kind != "llama"
        assert all(rows == 1 or rows * length <= tokens for rows, length in shapes)
        assert said == alone and reckoned == pytest.approx(each, rel=1e-4)


def test_a_batch_of_lm_eval_is_halved_until_a_gpu_has_memory_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, shapes = HFLM._model_call, []

    def call(self: Any, inps: torch.Tensor) -> torch.Tensor:
        shapes.append(len(inps))
        if len(inps) > most:
            raise torch.cuda.OutOfMemoryError
        return whole(self, inps)

    monkeypatch.setattr(HFLM, "_model_call", call)
    shared = harness.SharedHFLM(pretrained=model_of("llama"), tokenizer=TOKENIZER)
    inps = torch.arange(3, 23).view(5, 4)
    most = 5
    expected = shared._model_call(inps)
    most = 1
    assert torch.allclose(shared._model_call(inps), expected, atol=1e-5) and shapes == [5, 5, 2, 1, 1, 3, 1, 2, 1, 1]
    most = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        shared._model_call(inps)
