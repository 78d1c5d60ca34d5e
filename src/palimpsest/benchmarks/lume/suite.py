"""LUME's suite: completed texts, answers, and the losses of forget items and of documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.benchmarks.lume.dataset import SETS, place_of
from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Pair, Text, read_rows
from palimpsest.data.splits import spread
from palimpsest.evaluation.cutting import GENERATED, generated_row
from palimpsest.evaluation.generation import generate_answers
from palimpsest.evaluation.losses import losses_of
from palimpsest.models.limits import check_prompts

if TYPE_CHECKING:
    from palimpsest.benchmarks.lume.suite_settings import LumeSuite
    from palimpsest.evaluation.subject import Subject

# For generated text: the texts. For scored items and documents: the number of labels and their summed NLL in nats.
SCHEMA = pa.schema([*GENERATED, ("tokens", pa.int64()), ("nll", pa.float64())])
DOCUMENTS = ("members", "nonmembers")


def measure(subject: Subject, suite: LumeSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Let the model complete texts and answer questions, and score the forget items and the documents; return a row per item."""
    items = compared(suite, data)
    documents = {name: spread(read_rows(data / f"{name}.jsonl", Text), suite.max_items) for name in DOCUMENTS}
    said = [row for name, pairs in items.items() for row in _answer(subject, suite, name, pairs)]
    return [*said, *losses_of(subject, {"losses_forget": items["forget"], **documents})]


def compared(suite: LumeSuite, data: Path) -> dict[str, Sequence[Pair]]:
    """Return the items of the forget and the retain set, limited by the suite's `max_items` for each task and form."""
    return {name: list(_limited(read_rows(data / f"{name}.jsonl", Pair), suite.max_items)) for name in SETS}


def _limited(pairs: Sequence[Pair], most: int | None) -> Iterator[Pair]:
    for place in sorted({place_of(pair.id) for pair in pairs}):
        yield from spread([pair for pair in pairs if place_of(pair.id) == place], most)


def _answer(subject: Subject, suite: LumeSuite, name: str, pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    encoder = PromptEncoder(subject.tokenizer, subject.used.prompt)
    prompts = [encoder.prompt(pair.question) for pair in pairs]
    check_prompts(subject.model, [pair.id for pair in pairs], prompts, suite.max_new_tokens)
    answers = generate_answers(subject.model, subject.tokenizer, prompts, suite.max_new_tokens, encoder.end)
    for pair, text in zip(pairs, answers, strict=True):
        yield generated_row(name, pair.id, pair.question, pair.answer, text)
