"""Shared parts of the training stages: adapters around the training loop, and what a training leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from palimpsest import processes
from palimpsest.models.loading import save_model
from palimpsest.models.merging import save_adapters
from palimpsest.training.adapters import add_adapters
from palimpsest.training.log import Log, train_logged, write_log
from palimpsest.training.loop import train

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from palimpsest.contract.job import Job
    from palimpsest.models.settings import UsedSettings
    from palimpsest.training.problems import Problem
    from palimpsest.training.settings import TrainSettings


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
    """Train, and write the model's folder with its training log: all weights, or the adapters alone.

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
        if used.lora:
            save_adapters(cast("PeftModel", trained), tokenizer, job.out)
        else:
            save_model(model, tokenizer, job.out)
