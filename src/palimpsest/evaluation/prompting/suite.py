"""The prompting suite: a table with one row per forget question and way to ask it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from palimpsest.data.prompts import PromptEncoder, added_tokens
from palimpsest.data.rows import Pair, Question
from palimpsest.data.splits import spread
from palimpsest.errors import UserError
from palimpsest.evaluation.generation import generate_answers
from palimpsest.evaluation.prompting.suite_settings import FEW_SHOT, JAILBREAK, PARAPHRASE, PLAIN, PREFIX
from palimpsest.evaluation.questions import read_questions
from palimpsest.models.limits import check_prompts

if TYPE_CHECKING:
    from palimpsest.evaluation.prompting.suite_settings import PromptingSuite
    from palimpsest.evaluation.subject import Subject

SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("id", pa.string()),
        # One of "question" and `PromptingSuite.prompts`.
        ("way", pa.string()),
        ("question", pa.string()),
        # The answer without the words that the prompt gives.
        ("answer", pa.string()),
        ("generation", pa.string()),
    ]
)


class Asked(NamedTuple):
    """One way to ask a question: what the model is given, what it is to say, and the question in words."""

    way: str
    given: list[int]
    answer: str
    question: str


def measure(subject: Subject, suite: PromptingSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Return one row per forget question and way to ask it."""
    encoder = PromptEncoder(subject.tokenizer, subject.used.prompt)
    forget, retain = (read_questions(data, name) for name in ("forget", "retain"))
    shots = [token for row in spread(retain, suite.shots) for token in _shot(encoder, row)]
    asked = [(row, each) for row in forget[: suite.max_items] for each in ways(encoder, row, suite, shots)]
    if PARAPHRASE in suite.prompts and not any(each.way == PARAPHRASE for _, each in asked):
        raise UserError(f"{data / 'forget.jsonl'}: no question has a paraphrased question: leave `paraphrase` out of `prompts`")
    given = [each.given for _, each in asked]
    check_prompts(subject.model, [f"{row.id}, {each.way}" for row, each in asked], given, suite.max_new_tokens)
    said = generate_answers(subject.model, subject.tokenizer, given, suite.max_new_tokens, encoder.end)
    return [
        {
            **{"set": "forget", "id": row.id, "way": each.way, "question": each.question},
            **{"answer": each.answer, "generation": generation},
        }
        for (row, each), generation in zip(asked, said, strict=True)
    ]


def ways(encoder: PromptEncoder, row: Question | Pair, suite: PromptingSuite, shots: Sequence[int]) -> Iterator[Asked]:
    """Yield the ways to ask a question: as it stands, then each way of the suite that this question allows."""
    plain = encoder.prompt(row.question)
    yield Asked(PLAIN, plain, row.answer, row.question)
    for way in suite.prompts:
        if way == PARAPHRASE and (other := getattr(row, "paraphrased_question", None)):
            yield Asked(way, encoder.prompt(other), row.answer, other)
        elif way == PREFIX:
            words = row.answer.split()
            count = min(suite.prefix_words, len(words) // 2)
            if count:
                begun = " ".join(words[:count])
                yield Asked(way, plain + encoder.answer(begun)[:-1], " ".join(words[count:]), f"{row.question} {begun}")
        elif way == FEW_SHOT:
            yield Asked(way, [*shots, *_without_start(encoder, plain)], row.answer, row.question)
        elif way == JAILBREAK:
            yield Asked(way, plain + encoder.answer(suite.jailbreak)[:-1], row.answer, f"{row.question} {suite.jailbreak}")


def _shot(encoder: PromptEncoder, row: Question | Pair) -> list[int]:
    """Return a question with its answer, as the model was trained on them."""
    return [*encoder.prompt(row.question), *encoder.answer(row.answer)]


def _without_start(encoder: PromptEncoder, prompt: list[int]) -> list[int]:
    """Return a prompt without the tokens that begin every text."""
    before, _ = added_tokens(encoder.tokenizer)
    return prompt[len(before) :] if prompt[: len(before)] == before else prompt
