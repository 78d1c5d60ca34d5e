"""The sampling suite: a table with one row per forget question and sampled answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.data.prompts import PromptEncoder
from palimpsest.evaluation.drawing import sample_answers
from palimpsest.evaluation.questions import read_questions
from palimpsest.models.limits import check_prompts
from palimpsest.streams import stream

if TYPE_CHECKING:
    from palimpsest.evaluation.sampling.suite_settings import SamplingSuite
    from palimpsest.evaluation.subject import Subject

SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("id", pa.string()),
        ("sample", pa.int64()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("generation", pa.string()),
    ]
)


def measure(subject: Subject, suite: SamplingSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Return one row per forget question and sampled answer."""
    encoder = PromptEncoder(subject.tokenizer, subject.used.prompt)
    rows = read_questions(data, "forget")[: suite.max_items]
    asked = [(row, sample) for row in rows for sample in range(suite.samples)]
    prompts = [encoder.prompt(row.question) for row, _ in asked]
    check_prompts(subject.model, [row.id for row, _ in asked], prompts, suite.max_new_tokens)
    said = sample_answers(
        subject.model,
        subject.tokenizer,
        prompts,
        (stream(suite.seed, "sampling", row.id, sample) for row, sample in asked),
        temperature=suite.temperature,
        max_new_tokens=suite.max_new_tokens,
        end=encoder.end,
    )
    return [
        {
            **{"set": "forget", "id": row.id, "sample": sample, "question": row.question, "answer": row.answer},
            "generation": generation,
        }
        for (row, sample), generation in zip(asked, said, strict=True)
    ]
