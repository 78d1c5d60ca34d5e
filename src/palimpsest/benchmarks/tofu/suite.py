"""The TOFU suite: a table with one row per item of the forget, retain, real-authors, world-facts and holdout sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palimpsest.benchmarks.tofu import HOLDOUT
from palimpsest.benchmarks.tofu.losses import LOSSES, halves_of, score_rows
from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Fact, Question, read_rows
from palimpsest.evaluation.generation import generate_answers
from palimpsest.evaluation.items import FLAGS, NUMBERS
from palimpsest.models.limits import check_prompts

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.benchmarks.tofu.suite_settings import TofuSuite
    from palimpsest.evaluation.subject import Subject
    from palimpsest.models.settings import PromptSettings

SCHEMA = pa.schema(
    [
        *LOSSES,
        ("paraphrased_answer", pa.string()),
        ("generation", pa.string()),
        # Of each token of the right answer: its NLL in nats, its standard loss (`models.scoring`), and whether it is the
        # likeliest after the true tokens before it.
        ("answer_losses", NUMBERS),
        ("answer_standard_losses", NUMBERS),
        ("answer_hits", FLAGS),
    ]
)


def evaluate_tofu(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: PromptSettings,
    sets: Mapping[str, Sequence[Question | Fact]],
    suite: TofuSuite,
) -> list[dict[str, Any]]:
    """Score every evaluated item and generate its answer: losses, token counts and generated text.

    Items of the holdout set are only scored.
    """
    encoder = PromptEncoder(tokenizer, prompt)
    named = [(name, row) for name, rows in sets.items() for row in evaluated(name, rows, suite)]
    rows = [row for _, row in named]
    half = halves_of(sets.get("forget", ()))
    asked = [row for name, row in named if name != HOLDOUT]
    prompts = [encoder.prompt(row.question) for row in asked]
    check_prompts(model, [row.id for row in asked], prompts, suite.max_new_tokens)
    scored = score_rows(model, encoder, rows, standardise=True)
    generations = iter(generate_answers(model, tokenizer, prompts, suite.max_new_tokens, encoder.end))
    log = []
    for (name, row), (columns, answer) in zip(named, scored, strict=True):
        log.append(
            {
                "set": name,
                "half": half.get(row.id) if name == "forget" else None,
                **columns,
                "paraphrased_answer": row.paraphrased_answer if isinstance(row, Question) else None,
                "generation": None if name == HOLDOUT else next(generations),
                "answer_losses": answer.losses,
                "answer_standard_losses": answer.standard,
                "answer_hits": answer.hits,
            }
        )
    return log


def measure(subject: Subject, suite: TofuSuite, data: Path, scratch: Path) -> list[dict[str, Any]]:
    """Return one row per item of a model."""
    return evaluate_tofu(subject.model, subject.tokenizer, subject.used.prompt, read_sets(data), suite)


def compared(suite: TofuSuite, data: Path) -> dict[str, Sequence[Question | Fact]]:
    """Return the evaluated questions of the forget and the retain set."""
    sets = read_sets(data)
    return {name: evaluated(name, sets[name], suite) for name in ("forget", "retain")}


def evaluated(name: str, rows: Sequence[Question | Fact], suite: TofuSuite) -> Sequence[Question | Fact]:
    """Return the evaluated rows of a set.

    Only rows with perturbed answers count, which TOFU has for a part of the retain set; rows of the holdout set need none.
    """
    return [row for row in rows if row.perturbed_answers or name == HOLDOUT][: suite.limit(name)]


def read_sets(split: Path) -> dict[str, Sequence[Question | Fact]]:
    """Return the sets in a split's folder by name."""
    return {
        "forget": read_rows(split / "forget.jsonl", Question),
        "retain": read_rows(split / "retain.jsonl", Question),
        "real_authors": read_rows(split / "real_authors.jsonl", Fact),
        "world_facts": read_rows(split / "world_facts.jsonl", Fact),
        HOLDOUT: read_rows(split / "holdout.jsonl", Question),
    }
