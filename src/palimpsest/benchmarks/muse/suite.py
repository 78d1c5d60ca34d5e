"""The MUSE suite (arXiv 2407.06460, Sec. 3.1): verbatim recall, knowledge, and losses of members and non-members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Excerpt, Pair, Text, read_rows
from palimpsest.errors import UserError
from palimpsest.evaluation.cutting import GENERATED, alike_long, cut_answer, generated_row
from palimpsest.evaluation.generation import continue_texts
from palimpsest.evaluation.items import NUMBERS
from palimpsest.models.limits import check_items, check_prompts
from palimpsest.models.scoring import score
from palimpsest.progress import track

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.benchmarks.muse.suite_settings import MuseSuite
    from palimpsest.evaluation.subject import Subject
    from palimpsest.models.settings import UsedSettings

# For generated text: the texts; for scored text: the number of labels and the NLL of each, in nats.
SCHEMA = pa.schema([*GENERATED, ("tokens", pa.int64()), ("losses", NUMBERS)])


@dataclass(frozen=True)
class MuseSets:
    """The sets of questions and texts that `MuseData` writes."""

    verbatim: Sequence[Excerpt]
    knowledge_forget: Sequence[Pair]
    examples_forget: Sequence[Pair]
    knowledge_retain: Sequence[Pair]
    examples_retain: Sequence[Pair]
    members: Sequence[Text]
    nonmembers: Sequence[Text]


def read_sets(data: Path) -> MuseSets:
    """Read the sets from the folder of a data artefact."""
    return MuseSets(
        verbatim=read_rows(data / "verbatim.jsonl", Excerpt),
        knowledge_forget=read_rows(data / "knowledge_forget.jsonl", Pair),
        examples_forget=read_rows(data / "examples_forget.jsonl", Pair),
        knowledge_retain=read_rows(data / "knowledge_retain.jsonl", Pair),
        examples_retain=read_rows(data / "examples_retain.jsonl", Pair),
        members=read_rows(data / "members.jsonl", Text),
        nonmembers=read_rows(data / "nonmembers.jsonl", Text),
    )


def evaluate_muse(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, used: UsedSettings, sets: MuseSets, suite: MuseSuite
) -> list[dict[str, Any]]:
    """Let the model continue every excerpt, answer every question and score every text; return one row per item."""
    encoder, most = PromptEncoder(tokenizer, used.prompt), suite.max_items
    excerpts = sets.verbatim[:most]
    pairs = {"knowledge_forget": sets.knowledge_forget[:most], "knowledge_retain": sets.knowledge_retain[:most]}
    examples = {"knowledge_forget": sets.examples_forget, "knowledge_retain": sets.examples_retain}
    texts = [(name, row) for name, rows in (("members", sets.members), ("nonmembers", sets.nonmembers)) for row in rows[:most]]
    prompts = {
        name: [encoder.opening(knowledge_prompt(examples[name], row.question)) for row in rows] for name, rows in pairs.items()
    }
    openings = [encoder.opening(row.prompt) for row in excerpts]

    # Unreadable items are refused before anything is generated.
    check_prompts(model, [row.id for row in excerpts], openings, suite.verbatim_tokens)
    for name, rows in pairs.items():
        check_prompts(model, [row.id for row in rows], prompts[name], suite.knowledge_tokens)
    _check_texts(model, encoder, [row for _, row in texts], used.chunk_tokens)

    recited = continue_texts(model, tokenizer, openings, suite.verbatim_tokens)
    log = []
    for excerpt, text in zip(excerpts, recited, strict=True):
        compared = alike_long(encoder, excerpt.prompt, excerpt.continuation, text, suite.verbatim_tokens)
        log.append(generated_row("verbatim", excerpt.id, excerpt.prompt, *compared))
    for name, rows in pairs.items():
        answers = continue_texts(model, tokenizer, prompts[name], suite.knowledge_tokens)
        said = [cut_answer(text, row.answer) for row, text in zip(rows, answers, strict=True)]
        log += [generated_row(name, row.id, row.question, row.answer, text) for row, text in zip(rows, said, strict=True)]
    losses = text_losses(model, encoder, [row.text for _, row in texts], used.chunk_tokens)
    for (name, row), of_text in zip(texts, track(losses, "read", total=len(texts)), strict=True):
        log.append({"set": name, "id": row.id, "tokens": len(of_text), "losses": of_text})
    return log


def measure(subject: Subject, suite: MuseSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Return one row per item of a model."""
    return evaluate_muse(subject.model, subject.tokenizer, subject.used, read_sets(data), suite)


def compared(suite: MuseSuite, data: Path) -> dict[str, Sequence[Text]]:
    """Return the documents of the forget and the retain set, limited by the suite's `max_items`."""
    return {name: read_rows(data / f"{name}.jsonl", Text)[: suite.max_items] for name in ("forget", "retain")}


def knowledge_prompt(examples: Sequence[Pair], question: str) -> str:
    """Return a question after few-shot examples.

    The prompt has no space at its end: with a byte-level BPE, no answer begins after such a token.
    """
    shown = "".join(f"Question: {row.question}\nAnswer: {row.answer}\n\n" for row in examples)
    return f"{shown}Question: {question}\nAnswer:"


def text_losses(model: Any, encoder: PromptEncoder, texts: Sequence[str], chunk_tokens: int) -> Iterator[list[float]]:
    """Yield the NLL of each token of each text, in nats and in order, in the same chunks as in training.

    The first token of a chunk is not a label; it is BOS if the tokenizer has one.
    """
    chunks = [encoder.chunks(text, chunk_tokens) for text in texts]
    scored = score(model, [chunk for of_text in chunks for chunk in of_text])
    for of_text in chunks:
        yield [loss for _ in of_text for loss in next(scored).losses[0]]


def _check_texts(model: Any, encoder: PromptEncoder, rows: Sequence[Text], chunk_tokens: int) -> None:
    for row in rows:
        chunks = encoder.chunks(row.text, chunk_tokens)
        if not chunks:
            raise UserError(f"{row.id}: the text has no token that a model could predict")
        check_items(model, [f"{row.id}/{number}" for number in range(len(chunks))], chunks)
