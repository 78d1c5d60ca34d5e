"""The losses of one item: of its answer, its paraphrased answer and its perturbed answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from palimpsest.data.rows import Fact, Question
from palimpsest.data.splits import halves
from palimpsest.models.limits import check_items
from palimpsest.models.scoring import score
from palimpsest.progress import track

if TYPE_CHECKING:
    from torch import nn

    from palimpsest.data.prompts import PromptEncoder

# NLLs are summed over the tokens of an answer, in nats. `half` is the half of the forget set, 1 or 2; null for other sets.
LOSSES = pa.schema(
    [
        ("set", pa.string()),
        ("half", pa.int64()),
        ("id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("answer_nll", pa.float64()),
        ("answer_tokens", pa.int64()),
        ("paraphrased_nll", pa.float64()),
        ("paraphrased_tokens", pa.int64()),
        ("perturbed_nll", pa.list_(pa.float64())),
        ("perturbed_tokens", pa.list_(pa.int64())),
    ]
)


class Tokens(NamedTuple):
    """Of each token of an answer: its NLL in nats, and whether it is the argmax after the true tokens before it."""

    losses: list[float]
    hits: list[bool]
    standard: list[float]
    """Its standard loss (`models.scoring`); empty unless it was asked for."""


def score_rows(
    model: nn.Module, encoder: PromptEncoder, rows: Sequence[Question | Fact], *, standardise: bool = False
) -> list[tuple[dict[str, Any], Tokens]]:
    """Return, for each row, its log columns (summed NLLs and label counts) and the tokens of its answer."""
    items = []
    for row in rows:
        paraphrased = [row.paraphrased_answer] if isinstance(row, Question) and row.paraphrased_answer is not None else []
        items.append(encoder.encode(row.question, [row.answer, *paraphrased, *(row.perturbed_answers or ())]))
    check_items(model, [row.id for row in rows], items)
    log = []
    scores = track(score(model, items, standardise=standardise), "score", total=len(items))
    for row, scored in zip(rows, scores, strict=True):
        nll, tokens = list(scored.nll), list(scored.tokens)
        perturbed = len(nll) - len(row.perturbed_answers or ())
        columns = {
            "id": row.id,
            "question": row.question,
            "answer": row.answer,
            "answer_nll": nll[0],
            "answer_tokens": tokens[0],
            "paraphrased_nll": nll[1] if perturbed == 2 else None,
            "paraphrased_tokens": tokens[1] if perturbed == 2 else None,
            "perturbed_nll": nll[perturbed:],
            "perturbed_tokens": tokens[perturbed:],
        }
        log.append((columns, Tokens(scored.losses[0], scored.hits[0], scored.standard)))
    return log


def forget_losses(model: nn.Module, encoder: PromptEncoder, forget: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the losses of the forget set, one row per question."""
    half = halves_of(forget)
    return [{"set": "forget", "half": half[columns["id"]], **columns} for columns, _ in score_rows(model, encoder, forget)]


def halves_of(forget: Sequence[Question | Fact]) -> dict[str, int]:
    """Return the half of the forget set, 1 or 2, of each question by id."""
    return {row.id: number for number, part in enumerate(halves(forget), start=1) for row in part}
