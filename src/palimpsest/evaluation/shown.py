"""What a model sees: one of its training items as text, with its special tokens and its labels."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from palimpsest.data.prompts import Encoded, PromptEncoder, special_ids
from palimpsest.data.rows import Lesson, Text

if TYPE_CHECKING:
    from palimpsest.evaluation.subject import Subject


def shown_item(subject: Subject, row: Lesson) -> list[dict[str, Any]]:
    """Return a question with its answer, or the first chunk of a text, in runs of tokens of one kind.

    Tokens are special or not, and labels or not.
    """
    encoder, special = PromptEncoder(subject.tokenizer, subject.used.prompt), special_ids(subject.tokenizer)[0]
    if isinstance(row, Text):
        item = next(iter(encoder.chunks(row.text, subject.used.chunk_tokens)), Encoded([], [[]]))
    else:
        item = encoder.encode(row.question, [row.answer])
    ids = [*item.prompt, *item.answers[0]]
    # A special token is a piece of its own, told by its place.
    kinds = [(id in special, place >= len(item.prompt), place * (id in special)) for place, id in enumerate(ids)]
    pieces: list[dict[str, Any]] = []
    shown, end = "", 0
    for (is_special, is_label, _), run in groupby(kinds):
        end += len(list(run))
        # The text of a piece may depend on the pieces before it, such as a blank at its beginning.
        text = str(subject.tokenizer.decode(ids[:end], clean_up_tokenization_spaces=False))
        pieces.append({"text": text.removeprefix(shown), "special": is_special, "label": is_label})
        shown = text
    return pieces
