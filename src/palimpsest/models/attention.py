"""The attention implementation that a model is loaded with, and attention within packed rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

log = logging.getLogger("palimpsest")

# The argument of a model's call with its packed rows, and the mask beside it, with which transformers makes none. A model that
# does not pass the argument on to its attention sees nothing with this mask, and the trial in `layouts.py` finds it out.
PACKED_ROWS = "packed_rows"
NO_MASK = torch.zeros(1, 1, 1, 1, dtype=torch.bool)


class PackedRows(NamedTuple):
    """Sequences that share the tokens of one long row and are rows of their own in attention.

    Each group has sequences of similar length: indices of their tokens, shape (sequences, length), with padding on the right.
    `places` are the indices of the tokens of the long row, shape (tokens,), among all tokens of all groups.
    """

    groups: list[Tensor]
    places: Tensor

    def to(self, device: torch.device) -> PackedRows:
        """Return the rows with their tensors on a device."""
        return PackedRows([group.to(device) for group in self.groups], self.places.to(device))


def packed_rows(sequences: Sequence[Sequence[int]]) -> PackedRows:
    """Return the rows of sequences of token indices; a token of several sequences, in a shared prefix, takes the first one."""
    groups: dict[int, list[Sequence[int]]] = {}
    for sequence in sequences:
        # The lengths of a group differ by less than a factor of two, so no sequence is padded to twice its length.
        groups.setdefault((len(sequence) - 1).bit_length(), []).append(sequence)
    places: dict[int, int] = {}
    tensors, seen = [], 0
    for group in groups.values():
        width = max(map(len, group))
        tensors.append(torch.tensor([[*sequence, *[sequence[-1]] * (width - len(sequence))] for sequence in group]))
        for number, sequence in enumerate(group):
            for column, token in enumerate(sequence):
                places.setdefault(token, seen + number * width + column)
        seen += len(group) * width
    return PackedRows(tensors, torch.tensor([places[token] for token in range(len(places))]))


@cache
def learn_packed_rows() -> None:
    """Let sdpa attention, of any model in this process, read the argument of packed rows."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    own = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
    ) -> tuple[Tensor, None]:
        rows: PackedRows | None = settings.pop(PACKED_ROWS, None)
        if rows is None:
            return own(module, query, key, value, attention_mask, **settings)  # type: ignore[no-any-return]
        # (1, heads, tokens, width) -> (tokens, heads, width)
        packed = [each[0].transpose(0, 1) for each in (query, key, value)]
        parts = []
        for group in rows.groups:
            given = [each.index_select(0, group.flatten()).unflatten(0, group.shape).transpose(1, 2) for each in packed]
            # Causal without a mask: no token attends to the padding, which comes later.
            parts.append(own(module, *given, None, **settings | {"is_causal": True})[0].flatten(0, 1))
        return torch.cat(parts).index_select(0, rows.places)[None], None

    ALL_ATTENTION_FUNCTIONS.register("sdpa", attend)


def fastest_attention(folder: Path) -> str:
    """Return the fastest attention implementation of a model: sdpa, or eager (with a warning) if its family has no sdpa."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    family: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if family is None or family._supports_sdpa:
        return "sdpa"
    log.warning("%s: no sdpa attention; loaded with eager attention, which is slower", family.__name__)
    return "eager"
