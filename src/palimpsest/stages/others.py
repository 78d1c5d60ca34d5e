"""The other answers to the forget questions that a method reads: refusals, or alternatives that the start model made up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palimpsest.data.alternatives import FILE, read_alternatives
from palimpsest.data.rows import Text, read_rows

if TYPE_CHECKING:
    from palimpsest.contract.job import Job
    from palimpsest.data.prompts import PromptEncoder
    from palimpsest.methods.base import OtherAnswers


def read_others(job: Job[Any], wanted: OtherAnswers, ids: Sequence[str], encoder: PromptEncoder) -> list[list[list[int]]]:
    """Return the token ids of the other answers to each forget item: all refusals, its alternatives, or none."""
    if wanted == "alternative":
        found = read_alternatives(job.input("alternatives") / FILE, ids)
        return [[encoder.answer(text) for text in texts] for texts in found]
    rows = read_rows(job.input("split") / "refusals.jsonl", Text) if wanted == "refusal" else []
    refusals = [encoder.answer(row.text) for row in rows]
    return [refusals] * len(ids)
