"""The models in a folder of results: settings, training log, numbers and artefacts of each. Every export reads these."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from palimpsest.audit.artefacts import CONFIG, Artefact, Contents, find_artefacts
from palimpsest.audit.findings import short
from palimpsest.errors import UserError
from palimpsest.evaluation.items import read_frame
from palimpsest.names import ModelId
from palimpsest.provenance.manifest import WEIGHTS
from palimpsest.report.rows import clean_summary
from palimpsest.scores.ids import evaluation_parts
from palimpsest.study.files import read_configs

SUMMARY = Path("summary", "summary.parquet")
LOG = "training_log.jsonl"
Setting = str | int | float | bool


@dataclass(frozen=True)
class Model:
    """A model of a study: the artefact that made it, its evaluations by suite, and its rows of the summary."""

    of: ModelId
    made: Artefact
    evaluations: dict[str, Artefact]
    rows: pd.DataFrame

    @property
    def name(self) -> str:
        """The model's folder below the results, which names it in an export."""
        return self.of.path

    @property
    def tags(self) -> dict[str, str]:
        """What identifies the model, and the commit of the code that made it; without empty values."""
        found = {**self.of.columns, "commit": (self.made.environment or {}).get("commit")}
        return {name: str(value) for name, value in found.items() if value not in ("", None)}

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """The settings of the stage that made the model, by names such as `training/learning_rate`; without null settings."""
        return dict(_leaves(self.made.manifest["spec"]))

    @property
    def is_kept(self) -> bool:
        """Whether the artefact contains the weights, or did before they were pruned."""
        return any(Path(name).suffix == WEIGHTS for name in self.made.manifest["files"])

    @cached_property
    def steps(self) -> list[dict[str, Any]]:
        """The training log, one entry per optimiser step; empty for a model without training."""
        path = self.made.folder / LOG
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    @property
    def curves(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield each step of training, from 1, with losses, learning rate and gradient norm."""
        for entry in self.steps:
            found = {name: value for name, value in entry.items() if isinstance(value, float) and math.isfinite(value)}
            yield entry["step"] + 1, found

    @property
    def epochs(self) -> dict[int, dict[str, float]]:
        """The numbers after each epoch of a watched training or step of an attack, by names such as `tofu/forget_quality`."""
        rows = self.rows[self.rows["epoch"].notna()]
        return {int(str(epoch)): _numbers(of_epoch) for epoch, of_epoch in rows.groupby("epoch")}

    @property
    def finals(self) -> dict[str, float]:
        """The numbers of the finished model, by names such as `tofu/forget_quality`."""
        return _numbers(self.rows[self.rows["epoch"].isna()])

    @property
    def started(self) -> datetime | None:
        """When the job that made the model started; None if it is not recorded."""
        return start_of(self.made)


def start_of(artefact: Artefact) -> datetime | None:
    """Return when the job of an artefact started; None if it is not recorded."""
    started = (artefact.environment or {}).get("started")
    return datetime.fromisoformat(started) if started else None


@dataclass(frozen=True)
class Results:
    """A folder of results with its artefacts, and the config of the study."""

    folder: Path
    config: Mapping[str, Any]
    artefacts: dict[str, Artefact]

    @property
    def study(self) -> str:
        """The name of the study."""
        return str(self.config["study"])

    def kind(self, section: str, name: str) -> str:
        """Return the kind of a benchmark or suite; a suite that a benchmark brings has the name of its kind."""
        return str(self.config.get(section, {}).get(name, {}).get("kind", name))

    @cached_property
    def contents(self) -> Contents:
        """The artefacts by their content."""
        return Contents(self.artefacts)

    def input_of(self, artefact: Artefact, label: str) -> Artefact:
        """Return an input of an artefact; raises UserError if it is not in the results."""
        content = artefact.manifest["inputs"].get(label)
        if (found := self.contents.of(content, artefact, label)) is None:
            raise UserError(
                f"{artefact.path}: made of {label} {short(str(content))}, which is not in {self.folder}: audit verify"
            )
        return found

    @cached_property
    def models(self) -> list[Model]:
        """Every model of the study that was measured, in the order of its folders."""
        rows = dict(iter(self._summary.groupby(list(ModelId("").columns), sort=False)))
        made: dict[ModelId, Artefact] = {}
        evaluations: dict[ModelId, dict[str, Artefact]] = {}
        for scores in self.artefacts.values():
            if scores.manifest["stage"] != "scores":
                continue
            run = ModelId(**scores.manifest["spec"]["run"])
            for label in sorted(scores.manifest["inputs"]):
                kind, _, subject = label.partition(":")
                if kind == "eval":
                    evaluated, suite = evaluation_parts(subject)
                    evaluation = self.input_of(scores, label)
                    made[run.at(evaluated)] = self.input_of(evaluation, "model")
                    evaluations.setdefault(run.at(evaluated), {})[suite] = evaluation
                elif kind in ("attack", "trajectory"):
                    made.setdefault(run.at(subject), self.input_of(scores, label))
        nothing = self._summary.iloc[:0]
        return [
            Model(of, artefact, evaluations.get(of, {}), rows.get(tuple(of.columns.values()), nothing))
            for of, artefact in sorted(made.items())
        ]

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return clean_summary(read_frame(self.folder / SUMMARY))


def open_results(folder: Path) -> Results:
    """Return a finished folder of results; raises UserError if it is not one."""
    artefacts = find_artefacts(folder)
    for needed in (folder / CONFIG, folder / SUMMARY):
        if not needed.is_file():
            raise UserError(f"{needed}: missing; finish the study first")
    return Results(folder, read_configs([folder / CONFIG]), artefacts)


def _numbers(rows: pd.DataFrame) -> dict[str, float]:
    named = zip(rows["suite"], rows["metric"], rows["value"], strict=True)
    return {f"{suite}/{metric}": float(value) for suite, metric, value in named}


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Setting]]:
    """Yield the settings of a spec that have a value; a list is one setting."""
    if isinstance(value, Mapping):
        for key in value:
            yield from _leaves(value[key], f"{name}/{key}" if name else key)
    elif isinstance(value, list):
        yield name, json.dumps(value)
    elif value is not None:
        yield name, value
