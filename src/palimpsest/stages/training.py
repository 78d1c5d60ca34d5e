"""What the training stages share: rows to token ids, adapters around the loop, weights and log to files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest import processes
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Lesson, Text
from palimpsest.errors import Diverged
from palimpsest.models.limits import check_items
from palimpsest.models.loading import save_model
from palimpsest.provenance.canonical import finite
from palimpsest.training.adapters import add_adapters, merge_adapters
from palimpsest.training.loop import train

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.models.settings import UsedSettings
    from palimpsest.stages.contract import Job
    from palimpsest.training.problems import Problem
    from palimpsest.training.settings import TrainSettings


def encode_rows(
    rows: Iterable[Lesson], tokenizer: PreTrainedTokenizerBase, used: UsedSettings, model: PreTrainedModel | PeftModel
) -> list[Encoded]:
    """Return the training items of rows: each question with its answer, each text in chunks."""
    return named_items(rows, tokenizer, used, model)[1]


def named_items(
    rows: Iterable[Lesson], tokenizer: PreTrainedTokenizerBase, used: UsedSettings, model: PreTrainedModel | PeftModel
) -> tuple[list[str], list[Encoded]]:
    """Return the training items of rows, and what each is called: a question by its id, chunk n of a text `{id}/{n}`.

    Raises UserError naming the first item that the model cannot read.
    """
    encoder = PromptEncoder(tokenizer, used.prompt)
    named: list[tuple[str, Encoded]] = []
    for row in rows:
        if isinstance(row, Text):
            chunks = encoder.chunks(row.text, used.chunk_tokens)[: used.chunks_per_text]
            named += [(f"{row.id}/{n}", chunk) for n, chunk in enumerate(chunks)]
        else:
            named.append((row.id, encoder.encode(row.question, [row.answer])))
    names, items = [name for name, _ in named], [item for _, item in named]
    check_items(model, names, items)
    return names, items


def train_and_save(
    job: Job[Any],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problem: Problem,
    training: TrainSettings,
    used: UsedSettings,
    *,
    seed: int,
    label: str,
) -> None:
    """Train, merge adapters into the weights, and write the model's folder with its training log."""
    trained = add_adapters(model, used.lora, seed)
    with logged(job.out):
        log = train(trained, problem, training, used, seed=seed, label=label, scratch=job.scratch, remark=job.remark)
    # First, since merging may diverge too.
    write_log(job.out, log)
    if processes.is_main():
        save_model(merge_adapters(trained), tokenizer, job.out)


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write the log of a training that diverges within this block, before the error goes on."""
    try:
        yield
    except Diverged as error:
        write_log(folder, error.log)
        raise


def write_log(folder: Path, log: Iterable[dict[str, Any]]) -> None:
    """Write a training log, one line per optimiser step; a number that is not finite is null."""
    with (folder / "training_log.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(finite(entry), allow_nan=False) + "\n" for entry in log)
