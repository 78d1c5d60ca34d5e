"""RWKU's suite: answers to probes, and the losses of texts about the people to forget and about others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.benchmarks.rwku.dataset import MEMBERSHIP, PROBES
from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Pair, Text, read_rows
from palimpsest.data.splits import spread
from palimpsest.evaluation.cutting import GENERATED, generated_row
from palimpsest.evaluation.generation import continue_texts
from palimpsest.evaluation.losses import losses_of
from palimpsest.models.limits import check_prompts

if TYPE_CHECKING:
    from palimpsest.benchmarks.rwku.suite_settings import RwkuSuite
    from palimpsest.evaluation.subject import Subject

# For probes: the texts. For scored texts: the number of labels and their summed NLL in nats.
SCHEMA = pa.schema([*GENERATED, ("tokens", pa.int64()), ("nll", pa.float64())])
# What the official code asks, and begins the answer with.
BLANK = "Please complete the blank in the following question.\nQuestion: {}\n"
QUESTION = "Please briefly answer the following question.\nQuestion: {}\n"
ANSWER = "Answer:"
# Two kinds of attacks: examples precede the question, and the question begins its answer itself.
WITH_EXAMPLES, WITH_BEGINNING = "incontext learning", "affirmative suffix"


def measure(subject: Subject, suite: RwkuSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Let the model answer every probe, and score the texts; return one row per item."""
    probes = {name: spread(read_rows(data / f"{name}.jsonl", Pair), suite.max_items) for name in PROBES}
    texts = {name: spread(read_rows(data / f"{name}.jsonl", Text), suite.max_items) for name in MEMBERSHIP}
    return [*_answer(subject, suite, probes), *losses_of(subject, texts)]


def compared(suite: RwkuSuite, data: Path) -> dict[str, Sequence[Text]]:
    """Return the texts to forget and to retain, limited by the suite's `max_items`."""
    return {name: spread(read_rows(data / f"{name}.jsonl", Text), suite.max_items) for name in ("forget", "retain")}


def asked(name: str, pair: Pair) -> tuple[str, str]:
    """Return the words that a model is asked a probe with, and those that begin its answer."""
    kind = pair.id.partition("/")[0]
    if kind == WITH_BEGINNING:
        return QUESTION.format(pair.question).rstrip("\n"), ""
    if kind == WITH_EXAMPLES:
        return QUESTION.replace("Question: ", "").format(pair.question), ANSWER
    return (BLANK if name.endswith("blanks") else QUESTION).format(pair.question), ANSWER


def _answer(subject: Subject, suite: RwkuSuite, probes: Mapping[str, Sequence[Pair]]) -> Iterator[dict[str, Any]]:
    encoder = PromptEncoder(subject.tokenizer, subject.used.prompt)
    named = [(name, pair) for name, pairs in probes.items() for pair in pairs]
    spoken = [asked(name, pair) for name, pair in named]
    prompts = [encoder.prompt(question) + (encoder.plain(beginning) if beginning else []) for question, beginning in spoken]
    check_prompts(subject.model, [f"{name}/{pair.id}" for name, pair in named], prompts, suite.max_new_tokens)
    answers = continue_texts(subject.model, subject.tokenizer, prompts, suite.max_new_tokens, encoder.end)
    for (name, pair), text in zip(named, answers, strict=True):
        # The official code stops at a line break, even if the answer begins with it.
        yield generated_row(name, pair.id, pair.question, pair.answer, text.partition("\n")[0].strip())
