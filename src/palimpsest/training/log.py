"""The training log of a model: one line an optimiser step."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from palimpsest.errors import Diverged
from palimpsest.provenance.canonical import finite

Log = list[dict[str, Any]]


def train_logged(train: Callable[[], Log], write: Callable[[Log], None]) -> None:
    """Train, and write the log that this returns; of a training that diverges the log so far, before Diverged goes on."""
    try:
        log = train()
    except Diverged as error:
        write(error.log)
        raise
    write(log)


def tell_step(entry: dict[str, Any]) -> str:
    """Return the losses and the learning rate of a step in words."""
    losses = [f"{name.replace('_', ' ')} {value:.3g}" for name, value in entry.items() if "loss" in name]
    return ", ".join([f"epoch {entry['epoch'] + 1}", *losses, f"learning rate {entry['learning_rate']:.3g}"])


def write_log(folder: Path, log: Iterable[dict[str, Any]]) -> None:
    """Write a training log into a folder; a number that is not finite is null."""
    with (folder / "training_log.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(finite(entry), allow_nan=False) + "\n" for entry in log)
