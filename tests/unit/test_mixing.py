"""A reference model that is in part a random one."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from palimpsest.models.mixing import mix_with_random


def llama(*, tied: bool, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(config).to(dtype)


def gpt2() -> PreTrainedModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=2, n_positions=16))


def mixed(model: PreTrainedModel, share: float, seed: int = 3) -> list[torch.Tensor]:
    mix_with_random(model, share, seed)
    return [weight.detach().clone() for weight in model.parameters()]


@pytest.mark.parametrize("build", [lambda: llama(tied=True), lambda: llama(tied=False), gpt2], ids=["tied", "untied", "gpt2"])
def test_each_weight_goes_its_share_of_the_way(build: object) -> None:
    own = [weight.detach().clone() for weight in build().parameters()]  # type: ignore[operator]
    none, half, whole = (mixed(build(), share) for share in (0.0, 0.5, 1.0))  # type: ignore[operator]
    assert all(map(torch.equal, none, own))
    for a, b, c in zip(own, whole, half, strict=True):
        assert torch.allclose(c, (a + b) / 2, atol=1e-7)
    assert not all(map(torch.equal, whole, own))


def test_at_share_one_it_is_the_random_model_of_the_seed_alone() -> None:
    """Whatever the weights were before, and whatever was drawn before."""
    first = mixed(llama(tied=True), 1.0)
    other = llama(tied=True)
    with torch.no_grad():
        for weight in other.parameters():
            weight.fill_(7.0)
    torch.manual_seed(99)
    assert all(map(torch.equal, mixed(other, 1.0), first))
    assert not all(map(torch.equal, mixed(llama(tied=True), 1.0, seed=4), first))


def test_precision_and_attention_stay_as_they_are() -> None:
    model = llama(tied=True, dtype=torch.bfloat16)
    attention = model.config._attn_implementation
    assert {weight.dtype for weight in mixed(model, 0.3)} == {torch.bfloat16}
    assert model.config._attn_implementation == attention
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
