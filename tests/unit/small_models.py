"""Small random models of the architectures that the tests are run on."""

from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

VOCABULARY, WIDTH = 50, 32
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}


def build(name: str, layers: int, *, tied: bool = True, dropout: float = 0.0, vocabulary: int = VOCABULARY) -> Any:
    """Return always the same model of a family; `tied` is for those of `FAMILIES`, `dropout` for gpt2."""
    torch.manual_seed(0)
    if name == "gpt2":
        drop = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
        config = GPT2Config(vocab_size=vocabulary, n_embd=WIDTH, n_layer=layers, n_head=2, n_positions=64, **drop)
        model: Any = GPT2LMHeadModel(config)
    else:
        kind, of_kind = FAMILIES[name]
        sizes = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": layers, "max_position_embeddings": 64}
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        model = of_kind(kind(vocab_size=vocabulary, tie_word_embeddings=tied, **sizes, **heads))
    # Small random weights give nearly uniform predictions; larger ones make a wrong mask visible.
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()
