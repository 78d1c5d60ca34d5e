"""Rows as the items that a model is trained and evaluated on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Lesson, Text
from palimpsest.models.limits import check_items

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from palimpsest.models.settings import UsedSettings


def encode_rows(
    rows: Iterable[Lesson], tokenizer: PreTrainedTokenizerBase, used: UsedSettings, model: nn.Module
) -> list[Encoded]:
    """Return the training items of rows: each question with its answer, each text in chunks."""
    return named_items(rows, tokenizer, used, model)[1]


def named_items(
    rows: Iterable[Lesson], tokenizer: PreTrainedTokenizerBase, used: UsedSettings, model: nn.Module
) -> tuple[list[str], list[Encoded]]:
    """Return the names and the training items of rows: a question is named by its id, chunk n of a text `{id}/{n}`.

    Raises UserError naming the first item that the model cannot read.
    """
    encoder = PromptEncoder(tokenizer, used.prompt)
    named: list[tuple[str, Encoded]] = []
    for row in rows:
        if isinstance(row, Text):
            chunks = encoder.chunks(row.text, used.chunk_tokens)[: used.chunks_per_text]
            named += [(f"{row.id}/{n}", chunk) for n, chunk in enumerate(chunks)]
        else:
            named.append((row.id, encoder.encode(row.question, [row.answer])))
    names, items = [name for name, _ in named], [item for _, item in named]
    check_items(model, names, items)
    return names, items
