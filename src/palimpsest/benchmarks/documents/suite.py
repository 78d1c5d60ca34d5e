"""The suite of documents: recited continuations, answers, and the losses of every chunk or answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Lesson, Pair, Text, read_lessons, read_rows
from palimpsest.data.splits import spread
from palimpsest.evaluation.cutting import GENERATED, alike_long, cut_answer, generated_row
from palimpsest.evaluation.generation import continue_texts
from palimpsest.evaluation.items import FLAGS, NUMBERS
from palimpsest.models.encoding import named_items
from palimpsest.models.limits import check_prompts
from palimpsest.models.scoring import score
from palimpsest.progress import track

if TYPE_CHECKING:
    from palimpsest.benchmarks.documents.suite_settings import DocumentsSuite
    from palimpsest.evaluation.subject import Subject

# For generated text: the texts. For scored text: the number of labels, their summed NLL in nats, and of each label its NLL and
# whether it is the likeliest.
SCHEMA = pa.schema([*GENERATED, ("tokens", pa.int64()), ("nll", pa.float64()), ("losses", NUMBERS), ("hits", FLAGS)])
LEARNT = ("forget", "retain")


def measure(subject: Subject, suite: DocumentsSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Let the model continue chunks and answer questions, and score every chunk or answer; return one row per item."""
    rows = {name: read_lessons(data / f"{name}.jsonl") for name in (*LEARNT, "holdout")}
    asked: dict[str, list[Pair]] = {name: [row for row in rows[name] if isinstance(row, Pair)] for name in LEARNT}
    asked["forget"] += read_rows(data / "questions.jsonl", Pair)
    items = {name: _items(subject, of_set, suite.max_items) for name, of_set in rows.items()}
    log: list[dict[str, Any]] = []
    for name in LEARNT:
        if isinstance(rows[name][0], Text):
            log += _recite(subject, suite, f"recited_{name}", items[name])
        log += _answer(subject, suite, f"asked_{name}", spread(asked[name], suite.max_items))
    return [*log, *_score(subject, items)]


def compared(suite: DocumentsSuite, data: Path) -> dict[str, Sequence[Lesson]]:
    """Return the documents of the forget and the retain set, limited by the suite's `max_items`."""
    return {name: spread(read_lessons(data / f"{name}.jsonl"), suite.max_items) for name in LEARNT}


def _items(subject: Subject, rows: Sequence[Lesson], most: int | None) -> list[tuple[str, Encoded]]:
    """Return the items of a set with their names, in the same chunks as in training."""
    return spread(list(zip(*named_items(rows, subject.tokenizer, subject.used, subject.model), strict=True)), most)


def _recite(subject: Subject, suite: DocumentsSuite, name: str, items: Sequence[tuple[str, Encoded]]) -> Iterator[dict[str, Any]]:
    """Yield the continuation of each chunk, unless the true one is blank and cannot be compared."""
    encoder, most = PromptEncoder(subject.tokenizer, subject.used.prompt), suite.verbatim_tokens
    chunks = [[*item.prompt, *item.answers[0]] for _, item in items]
    prompts = [chunk[: min(suite.prompt_tokens, (len(chunk) + 1) // 2)] for chunk in chunks]
    check_prompts(subject.model, [id for id, _ in items], prompts, most)
    recited = continue_texts(subject.model, subject.tokenizer, prompts, most)
    for (id, _), chunk, given, text in zip(items, chunks, prompts, recited, strict=True):
        prompt, truth = (str(subject.tokenizer.decode(ids, skip_special_tokens=True)) for ids in (given, chunk[len(given) :]))
        truth, said = alike_long(encoder, prompt, truth, text, most)
        if truth:
            yield generated_row(name, id, prompt, truth, said)


def _answer(subject: Subject, suite: DocumentsSuite, name: str, pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    encoder = PromptEncoder(subject.tokenizer, subject.used.prompt)
    prompts = [encoder.prompt(pair.question) for pair in pairs]
    check_prompts(subject.model, [pair.id for pair in pairs], prompts, suite.max_new_tokens)
    answers = continue_texts(subject.model, subject.tokenizer, prompts, suite.max_new_tokens, encoder.end)
    for pair, text in zip(pairs, answers, strict=True):
        yield generated_row(name, pair.id, pair.question, pair.answer, cut_answer(text, pair.answer))


def _score(subject: Subject, sets: dict[str, list[tuple[str, Encoded]]]) -> Iterator[dict[str, Any]]:
    named = [(name, id, item) for name, items in sets.items() for id, item in items]
    scores = track(score(subject.model, [item for *_, item in named]), "score", total=len(named))
    for (name, id, _), scored in zip(named, scores, strict=True):
        yield {
            "set": name,
            "id": id,
            "tokens": scored.tokens[0],
            "nll": scored.nll[0],
            "losses": scored.losses[0],
            "hits": scored.hits[0],
        }
