"""The trajectory that the stage `unlearn` measures: a suite's items, the divergence from the start model, gradient weights.

The stage imports this module by name, and only for a trajectory, so it is not part of the code of other trainings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from palimpsest import processes
from palimpsest.benchmarks.suites import AnySuite, load
from palimpsest.contract.job import Job
from palimpsest.contract.job import log as logger
from palimpsest.data.rows import read_lessons
from palimpsest.evaluation import items
from palimpsest.evaluation.divergence import mean_divergence
from palimpsest.evaluation.subject import Subject, SuiteModule
from palimpsest.models.encoding import encode_rows, named_items
from palimpsest.models.precision import autocast
from palimpsest.settings import Settings
from palimpsest.training.log import Log

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.data.prompts import Encoded
    from palimpsest.models.settings import UsedSettings


class Watched(Settings):
    """The suite that measures a training, and the epochs: all, from 0 (untrained), or only the last."""

    suite: AnySuite
    epochs: Literal["all", "last"]


class Watch:
    """Measure a model while it trains, with its frozen start model; the results of an epoch survive an interruption."""

    def __init__(
        self,
        job: Job[Any],
        start: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        used: UsedSettings,
        wanted: dict[str, Any],
        *,
        last: int,
    ) -> None:
        watched = Watched.model_validate(wanted)
        self._job, self._start, self._tokenizer, self._used = job, start, tokenizer, used
        self._suite, self._last, self._split = watched.suite, last, job.input("split")
        self._module: SuiteModule = load(watched.suite.kind, "suite")
        first = 0 if watched.epochs == "all" else last
        self._parts = {epoch: job.scratch / f"epoch-{epoch:04d}" for epoch in range(first, last + 1)}
        self._schemas = {items.TABLE: items.keyed(self._module.SCHEMA, "epoch"), items.DIVERGENCE_TABLE: items.DIVERGENCE}

    def begin(self, model: PreTrainedModel | PeftModel) -> Callable[[int], None]:
        """Measure the untrained model; return the function that measures it after each epoch."""
        compared = {
            name: encode_rows(rows, self._tokenizer, self._used, self._start)
            for name, rows in self._module.compared(self._suite, self._split).items()
        }

        def after_epoch(epoch: int) -> None:
            if epoch in self._parts and not processes.main_value(self._parts[epoch].exists()):
                logger.info("watching: epoch %d of %d", epoch, self._last)
                self._look(model, epoch, compared)

        after_epoch(0)
        return after_epoch

    def _look(self, model: PreTrainedModel | PeftModel, epoch: int, compared: dict[str, list[Encoded]]) -> None:
        subject = Subject(model, self._tokenizer, self._used)
        with autocast(model.device, self._used):
            measured = self._module.measure(subject, self._suite, self._split, self._job.scratch)
            moved = {name: mean_divergence(self._start, model, of_set) for name, of_set in compared.items()}
        rows = {
            items.TABLE: [{"epoch": epoch, **row} for row in measured],
            items.DIVERGENCE_TABLE: [{"epoch": epoch, "set": name, "kl": far} for name, far in moved.items()],
        }

        def write(folder: Path) -> None:
            for name, schema in self._schemas.items():
                items.write_table(folder / name, rows[name], schema)

        self._job.keep(self._parts[epoch], write)

    def write(self, log: Log) -> None:
        """Write the tables of the epochs measured so far, and the gradient weights in a training log."""
        for name, schema in self._schemas.items():
            rows = [row for part in self._parts.values() if part.exists() for row in items.read_table(part / name)]
            items.write_table(self._job.out / name, rows, schema)
        forget = read_lessons(self._split / "forget.jsonl")
        names, encoded = named_items(forget, self._tokenizer, self._used, self._start)
        answers = [(name, len(item.answers[0])) for name, item in zip(names, encoded, strict=True)]
        items.write_table(self._job.out / items.WEIGHTS_TABLE, _weights(log, answers), items.WEIGHTS)


def _weights(log: Log, answers: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return the gradient weights in a training log, one row per answer and epoch; none for a method without weights."""
    return [
        {"epoch": entry["epoch"] + 1, "id": answers[index][0], "tokens": answers[index][1], "weight": weight}
        for entry in log
        for index, weight in zip(entry.get("items", ()), entry.get("weights", ()), strict=True)
    ]
