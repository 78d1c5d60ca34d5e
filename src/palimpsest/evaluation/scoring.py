"""The losses of one evaluation item: its answer, its paraphrased answer and its perturbed ones behind one question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palimpsest.data.rows import Fact, Question
from palimpsest.models.limits import check_items
from palimpsest.models.scoring import score
from palimpsest.progress import track

if TYPE_CHECKING:
    from torch import nn

    from palimpsest.data.prompts import PromptEncoder

TOKENS_PER_PASS = 512


def score_rows(
    model: nn.Module, encoder: PromptEncoder, rows: Sequence[Question | Fact]
) -> list[tuple[dict[str, Any], list[bool]]]:
    """Return for each row its log columns (summed NLLs and label counts) and the argmax hits of its answer."""
    items = []
    for row in rows:
        paraphrased = [row.paraphrased_answer] if isinstance(row, Question) and row.paraphrased_answer is not None else []
        items.append(encoder.encode(row.question, [row.answer, *paraphrased, *(row.perturbed_answers or ())]))
    check_items(model, [row.id for row in rows], items)
    log = []
    scores = track(score(model, items, TOKENS_PER_PASS), "score", total=len(items))
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
        log.append((columns, scored.hits[0]))
    return log
