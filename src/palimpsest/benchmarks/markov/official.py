"""The model of the official synthetic code of SimNPO, as a model of transformers.

It differs from GPT-2: one head, no projection after attention, norms after each sum, and a ReLU MLP of the model's width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

# Of the positions; all other weights start as torch's layers do.
POSITION_SD = 0.02


class OfficialConfig(PreTrainedConfig):
    """The size of the model."""

    model_type = "official_chain"
    vocab_size: int = 10
    max_position_embeddings: int = 20
    hidden_size: int = 128
    num_hidden_layers: int = 4
    tie_word_embeddings: bool = False


class Block(nn.Module):
    """Causal attention and an MLP, each added to its input and then normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.Linear(width, 3 * width, bias=False)
        self.attention_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor, mask: Tensor | None, **rows: Any) -> Tensor:
        """Return the next hidden states, shape (rows, tokens, width)."""
        query, key, value = self.attention(hidden).unsqueeze(1).chunk(3, dim=-1)
        attended, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](self, query, key, value, mask, **rows)
        hidden = self.attention_norm(hidden + attended.flatten(2))
        normed: Tensor = self.mlp_norm(hidden + self.mlp(hidden))
        return normed


class OfficialModel(PreTrainedModel):
    """Predicts the next state of a chain."""

    config_class = OfficialConfig
    base_model_prefix = ""
    _supports_sdpa = True

    def __init__(self, config: OfficialConfig) -> None:
        super().__init__(config)
        self.states = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        nn.init.normal_(self.positions.weight, std=POSITION_SD)
        self.blocks = nn.ModuleList(Block(config.hidden_size) for _ in range(config.num_hidden_layers))
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Keep the weights that the layers start with."""

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **rows: Any,
    ) -> CausalLMOutput:
        """Return the logits of the last positions, of those given, or of all (0): shape (rows, positions, states)."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
        hidden = self.states(input_ids) + self.positions(position_ids)
        for block in self.blocks:
            hidden = block(hidden, attention_mask, **rows)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        return CausalLMOutput(logits=self.head(hidden[:, kept]))
