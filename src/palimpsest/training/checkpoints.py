"""Checkpoints of a training stage: outside the declared outputs, written whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palimpsest.interruption import Interrupted, requested

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger("palimpsest")


class Checkpoints:
    """Saves accelerate's state and the log so far every few seconds, and finds the newest whole one again."""

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.folder, self.accelerator = folder, accelerator
        # How often is no matter of the result, so the environment decides, not the spec.
        self.seconds = float(os.environ.get("PALIMPSEST_CHECKPOINT_SECONDS", "300"))
        self.saved = time.monotonic()

    def restore(self) -> list[dict[str, Any]]:
        """Load the newest checkpoint into the prepared model and optimiser; return its log, one entry a finished step."""
        found = sorted(self.folder.glob("step-*"))
        if not found:
            return []
        self.accelerator.load_state(str(found[-1]))
        log: list[dict[str, Any]] = json.loads((found[-1] / "log.json").read_text(encoding="utf-8"))
        logger.info("continuing after step %d, from a checkpoint", len(log))
        return log

    def save_if_due(self, log: list[dict[str, Any]]) -> None:
        """Save after a step, if the last save is long enough ago; raises Interrupted if a SIGTERM came, with all saved."""
        stop = requested()
        if not stop and time.monotonic() - self.saved < self.seconds:
            return
        older = list(self.folder.glob("step-*"))
        whole = self.folder / f"step-{len(log):09d}"
        partial = self.folder / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.save_state(str(partial))
        (partial / "log.json").write_text(json.dumps(log), encoding="utf-8")
        partial.rename(whole)
        for path in older:
            shutil.rmtree(path)
        self.saved = time.monotonic()
        if stop:
            raise Interrupted(f"stopped by SIGTERM after step {len(log)}; a rerun continues from its checkpoint")
