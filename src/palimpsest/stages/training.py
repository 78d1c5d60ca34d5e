"""Shared parts of the training stages: encoding rows as token ids, and adapters around the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from palimpsest import processes
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Lesson, Text
from palimpsest.models.limits import check_items
from palimpsest.models.loading import save_model
from palimpsest.training.adapters import add_adapters, merge_adapters
from palimpsest.training.log import Log, train_logged, write_log
from palimpsest.training.loop import train

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.contract.job import Job
    from palimpsest.models.settings import UsedSettings
    from palimpsest.training.problems import Problem
    from palimpsest.training.settings import TrainSettings


def encode_rows(
    rows: Iterable[Lesson], tokenizer: PreTrainedTokenizerBase, used: UsedSettings, model: nn.Module
) -> list[Encoded]:
    """Return the training items of rows: each question with its answer, each text in chunks."""
    return named_items(rows, tokenizer, used, model)[1]


def named_items(
    rows: Iterable[Lesson], tokenizer: PreTrainedTokenizerBase, used: UsedSettings, model: nn.Module
) -> tuple[list[str], list[Encoded]]:
    """Return the names and the training items of rows: a question is named by its id, chunk n of a text `{id}/{n}`.

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


class Watch(Protocol):
    """Measures a model while it trains, and writes the measurements."""

    def begin(self, model: PreTrainedModel | PeftModel) -> Callable[[int], None]:
        """Measure the untrained model; return the function that measures it after each epoch."""

    def write(self, log: Log) -> None:
        """Write the measurements, including those in the training log."""


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
    watch: Watch | None = None,
    keep: bool = True,
) -> None:
    """Train, merge adapters into the weights, and write the model's folder with its training log.

    If the training diverges, its log and the epochs measured so far are written. With `keep` false no model is written.
    """
    trained = add_adapters(model, used.lora, seed)

    def write(log: Log) -> None:
        write_log(job.out, log)
        if watch:
            watch.write(log)

    def work() -> Log:
        return train(
            trained,
            problem,
            training,
            used,
            seed=seed,
            label=label,
            scratch=job.scratch,
            after_epoch=watch.begin(trained) if watch else None,
            remark=job.remark,
        )

    # The log is written first, since merging may diverge too.
    train_logged(work, write)
    if keep and processes.is_main():
        save_model(merge_adapters(trained), tokenizer, job.out)
