"""Task vectors: the algebra of weights, in every precision, with tied weights and buffers."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from palimpsest.methods.task_vector import TaskVector
from palimpsest.models.editing import edit_model

pairs = st.lists(st.tuples(st.floats(-10, 10, width=32), st.floats(-10, 10, width=32)), min_size=1, max_size=6)
DTYPES = [torch.float32, torch.bfloat16]


def vector(alpha: float) -> TaskVector:
    """A task vector of any length: the algebra holds beyond the bounds of the setting."""
    return TaskVector.model_construct(alpha=alpha)


def edited(start: torch.Tensor, reinforced: torch.Tensor, alpha: float) -> torch.Tensor:
    return vector(alpha).edit(start, {"reinforced": reinforced})


def columns(values: list[tuple[float, float]], dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.tensor(column).to(dtype) for column in zip(*values, strict=True)]


@given(pairs, st.sampled_from(DTYPES))
def test_alpha_0_is_the_start_and_minus_1_the_reinforced_model(values: list[tuple[float, float]], dtype: torch.dtype) -> None:
    start, reinforced = columns(values, dtype)
    assert torch.equal(edited(start, reinforced, 0.0), start)
    assert torch.equal(edited(start, reinforced, -1.0), reinforced)
    assert edited(start, reinforced, 0.3).dtype == dtype


@given(pairs, st.floats(-4, 4), st.floats(-4, 4))
def test_it_is_linear_in_alpha(values: list[tuple[float, float]], first: float, second: float) -> None:
    start, reinforced = columns(values)
    for alpha in (first, second, -0.5, 1.0):
        expected = [a - alpha * (b - a) for a, b in values]
        assert edited(start, reinforced, alpha).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-4)
    between = (edited(start, reinforced, first) + edited(start, reinforced, second)) / 2
    assert torch.allclose(edited(start, reinforced, (first + second) / 2), between, rtol=1e-4, atol=1e-4)


@given(pairs, st.floats(-4, 4))
def test_bf16_is_rounded_once_at_the_end(values: list[tuple[float, float]], alpha: float) -> None:
    start, reinforced = columns(values, torch.bfloat16)
    assert torch.equal(edited(start, reinforced, alpha), edited(start.float(), reinforced.float(), alpha).bfloat16())


def small_model(seed: int) -> Any:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=20, tie_word_embeddings=True, **sizes))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_weight_of_a_model_is_edited_and_a_tied_one_once(dtype: torch.dtype) -> None:
    model, start, reinforced = (small_model(seed).to(dtype) for seed in (0, 0, 1))
    edit_model(model, {"reinforced": reinforced}, vector(0.5).edit)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    weights = zip(model.named_parameters(), start.parameters(), reinforced.parameters(), strict=True)
    for (name, weight), first, second in weights:
        assert torch.equal(weight, edited(first, second, 0.5)), name
        assert weight.dtype == dtype and weight.requires_grad and weight.grad is None
    # The norms are alike in both models.
    assert not torch.equal(model.lm_head.weight, start.lm_head.weight)


def test_buffers_stay_as_they_are() -> None:
    model, other = (torch.nn.BatchNorm1d(3) for _ in range(2))
    other.running_mean += 1.0
    edit_model(model, {"reinforced": other}, vector(1.0).edit)
    assert torch.equal(model.running_mean, torch.zeros(3))
