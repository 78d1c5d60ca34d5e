"""The sampling suite: a table with one row per forget question and sampled answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from palimpsest.data.prompts import PromptEncoder
from palimpsest.evaluation.generation import generate_answers
from palimpsest.evaluation.questions import read_questions
from palimpsest.models.limits import check_prompts
from palimpsest.streams import stream

if TYPE_CHECKING:
    from torch import Tensor

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
    # Each sample has a random stream of its own, so that it does not depend on which others share its batch.
    streams = (stream(suite.seed, "sampling", row.id, sample) for row, sample in asked)
    numbers = np.stack([random.random(suite.max_new_tokens) for random in streams])

    def choose(asked: list[int], step: int, scores: Tensor) -> Tensor:
        return sample_tokens(scores / suite.temperature, torch.from_numpy(numbers[asked, step]))

    said = generate_answers(subject.model, subject.tokenizer, prompts, suite.max_new_tokens, encoder.end, choose)
    return [
        {
            **{"set": "forget", "id": row.id, "sample": sample, "question": row.question, "answer": row.answer},
            "generation": generation,
        }
        for (row, sample), generation in zip(asked, said, strict=True)
    ]


def sample_tokens(logits: Tensor, numbers: Tensor) -> Tensor:
    """Return a token per row, (rows,): the distributions of `logits`, (rows, vocabulary), inverted at `numbers` in [0, 1)."""
    sums = logits.double().softmax(-1).cumsum(-1)
    # Relative to the sum, which may miss 1 by rounding.
    wanted = numbers.to(sums)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
