"""Models that others made and measured: rows of a table that compete with none, each with where it is said to be from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.report.study import Block
from palimpsest.report.summary import IMPORTED


@dataclass(frozen=True)
class Imported:
    """One such model: its name and label, the table it stands in, its numbers by metric, and what its artefact says of it."""

    name: str
    label: str
    place: tuple[str, str, str, str]
    """Benchmark, split, model and suite."""
    values: Mapping[str, float]
    said: Mapping[str, Any]

    @property
    def files(self) -> list[tuple[str, str]]:
        """The name and the sha256 of each file of the log and of Retrain's log."""
        logs = {"": self.said["log"], "Retrain's ": self.said["retrain"] or {"files": {}}}
        return [(whose + name, file["sha256"]) for whose, log in logs.items() for name, file in log["files"].items()]

    @property
    def reading(self) -> str:
        """What was read of it, what not and why, and which Retrain its forget quality is against."""
        log, retrain = self.said["log"], self.said["retrain"]
        items = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in log["items"].items())
        missing = "".join(f" Without {name.replace('_', ' ')}: {why}." for name, why in log["missing"].items())
        asked = "the same questions" if log["questions"] else "as many questions; the log does not say which it was asked"
        against = (
            "against a Retrain log imported with it; whether it was asked this study's questions was not looked at"
            if retrain
            else f"against this study's Retrain of seed {self.said['seed']}, which was asked {asked}"
        )
        undefined = "".join(f" No {name.replace('_', ' ')}: {why}." for name, why in self.said["undefined"].items())
        notes = "".join(f" Note: {note}." for note in self.said["notes"])
        read = f"The log is of the form {log['form']}; its items: {items}.{missing}{undefined}"
        return f"{read} Its forget quality is {against}.{notes}"


def are_imported(rows: pd.DataFrame, blocks: Iterable[Block]) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return which rows of the tidy summary are of models that others made."""
    theirs = {(*block.key, name) for block in blocks for name in block.external}
    keys = zip(rows["benchmark"], rows["split"], rows["model"], rows["method"], strict=True)
    return np.array([key in theirs for key in keys], dtype=bool)


def read_imported(summary: Path, rows: pd.DataFrame, blocks: Iterable[Block]) -> list[Imported]:
    """Return the models that others made, in the order of the config, from their rows and what the summary says of them."""
    path = summary / IMPORTED
    if not path.exists():
        return []
    labels = {(*block.key, name): label for block in blocks for name, label in block.external.items()}
    found = []
    for said in json.loads(path.read_text(encoding="utf-8")):
        key = (said["benchmark"], said["split"], said["model"])
        own = rows[rows["method"] == said["name"]]
        values = dict(zip(own["metric"], own["value"], strict=True))
        found.append(Imported(said["name"], labels[*key, said["name"]], (*key, said["suite"]), values, said))
    return found
