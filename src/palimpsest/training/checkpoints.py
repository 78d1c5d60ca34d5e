"""Checkpoints of training: outside the declared outputs, written completely or not at all."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest import processes
from palimpsest.environment import checkpoint_seconds
from palimpsest.interruption import Interrupted, at_once, postponed, requested

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

logger = logging.getLogger("palimpsest")
# A rerun loads the start model, which has the frozen weights.
OPTIONS: dict[str, Any] = {"ignore_frozen_params": True, "strict": False}


class Checkpoints:
    """Save trained weights, optimiser and log at intervals, and find the newest complete checkpoint.

    Each process writes its part; any other number of processes can read the checkpoint.
    """

    def __init__(self, folder: Path, model: nn.Module, optimizer: Optimizer) -> None:
        self.folder, self.model, self.optimizer = folder, model, optimizer
        # The interval does not affect the result, so the environment sets it, not the spec.
        self.seconds = checkpoint_seconds()
        self.saved = time.monotonic()

    def restore(self) -> list[dict[str, Any]]:
        """Load the newest checkpoint into the prepared model and optimiser; return its log, one entry per finished step."""
        found = sorted(self.folder.glob("step-*"))
        if not found:
            return []
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

        from palimpsest.training.safe_loading import load_checkpoint

        options = StateDictOptions(**OPTIONS)
        weights, moments = get_state_dict(self.model, self.optimizer, options=options)
        load_checkpoint({"model": weights, "optimizer": moments}, found[-1])
        set_state_dict(self.model, self.optimizer, model_state_dict=weights, optim_state_dict=moments, options=options)
        log: list[dict[str, Any]] = json.loads((found[-1] / "log.json").read_text(encoding="utf-8"))
        logger.info("continuing after step %d, from a checkpoint", len(log))
        return log

    def between(self, steps: Iterable[int], log: list[dict[str, Any]]) -> Iterator[int]:
        """Yield each step, which adds its entry to the log, and save after a step when the interval has passed.

        A SIGTERM waits for the end of the step; then a checkpoint is saved and Interrupted is raised.
        """
        with postponed():
            for step in steps:
                yield step
                self.save_if_due(log)

    def save_if_due(self, log: list[dict[str, Any]]) -> None:
        """Save after a step if the interval has passed; after a SIGTERM, save and raise Interrupted.

        The main process decides for all processes.
        """
        stop, due = processes.main_value((requested(), time.monotonic() - self.saved >= self.seconds))
        if stop or due:
            self.save(log)
        if stop:
            raise self._stopped(log)

    @contextmanager
    def looking(self, log: list[dict[str, Any]]) -> Iterator[None]:
        """Measure the model within this block, which may take longer than a scheduler waits: a SIGTERM ends it at once.

        One process then saves a checkpoint. Several cannot, because one may wait for another; they save before the block.
        """
        if processes.count() > 1:
            self.save(log)
        try:
            with at_once():
                yield
        except Interrupted:
            if processes.count() == 1:
                self.save(log)
            raise self._stopped(log) from None

    def save(self, log: list[dict[str, Any]]) -> None:
        """Save a checkpoint after the last step of the log, and delete the older ones."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict
        from torch.distributed.checkpoint.state_dict_saver import save

        whole = self.folder / f"step-{len(log):09d}"
        if processes.main_value(whole.exists()):
            return
        older = list(self.folder.glob("step-*"))
        partial = self.folder / "partial"
        if processes.is_main():
            shutil.rmtree(partial, ignore_errors=True)
        processes.barrier()
        weights, moments = get_state_dict(self.model, self.optimizer, options=StateDictOptions(**OPTIONS))
        save({"model": weights, "optimizer": moments}, checkpoint_id=partial)
        if processes.is_main():
            (partial / "log.json").write_text(json.dumps(log), encoding="utf-8")
            partial.rename(whole)
            for path in older:
                shutil.rmtree(path)
        self.saved = time.monotonic()

    @staticmethod
    def _stopped(log: list[dict[str, Any]]) -> Interrupted:
        return Interrupted(f"stopped by SIGTERM after step {len(log)}; a rerun continues from its checkpoint")
