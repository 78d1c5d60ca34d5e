"""The measurements of a model as they lie on disk: its evaluation and its trajectory, each table read once."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from palimpsest.errors import Diverged, UserError
from palimpsest.evaluation.logs import question_mismatch, read_frame, sets_from_table
from palimpsest.evaluation.tables import DIVERGENCE_TABLE, MUSE_TABLE, TABLE, WEIGHTS_TABLE
from palimpsest.metrics.forget_quality import ForgetQuality
from palimpsest.metrics.muse import MuseItems, muse_scores
from palimpsest.metrics.tofu import Items, compare_forget_sets, tofu_scores
from palimpsest.provenance.manifest import MANIFEST, Remark, read_manifest, read_remarks
from palimpsest.scores.muse import muse_items, said_in_table
from palimpsest.scores.parts import select_items

Scores = dict[str, float]
# What was tried with a model.
Attempt = Literal["evaluation", "attack", "trajectory"]


@dataclass(frozen=True)
class Artefact:
    """The directory of an artefact, and the columns that say what it is of."""

    identity: dict[str, Any]
    directory: Path

    @property
    def model(self) -> tuple[str, str]:
        """The method and variant that it is of."""
        return self.identity["method"], self.identity["variant"]

    @property
    def diverged(self) -> Diverged | None:
        """How it diverged, if it did: then its numbers are missing or end early."""
        return Diverged.from_record(record) if (record := self._manifest.get("diverged")) else None

    @property
    def remarks(self) -> list[Remark]:
        """What its stage remarked."""
        return read_remarks(self._manifest)

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return read_manifest(self.directory / MANIFEST)


class Evaluation(Artefact):
    """The evaluation of one model: a directory that holds one a suite."""

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The items of each TOFU suite."""
        return {path.parent.name: read_frame(path) for path in sorted(self.directory.glob(f"*/{TABLE}"))}

    @cached_property
    def sets(self) -> dict[str, dict[str, Items]]:
        """The sets of each TOFU suite."""
        return {suite: sets_from_table(table, self.source(suite)) for suite, table in self.tables.items()}

    @cached_property
    def muse_tables(self) -> dict[str, pd.DataFrame]:
        """The items of each MUSE suite."""
        return {path.parent.name: read_frame(path) for path in sorted(self.directory.glob(f"*/{MUSE_TABLE}"))}

    @cached_property
    def muse(self) -> dict[str, MuseItems]:
        """What the scores of each MUSE suite are read off."""
        return {suite: muse_items(table, self.muse_source(suite)) for suite, table in self.muse_tables.items()}

    @cached_property
    def said(self) -> dict[str, pd.DataFrame]:
        """Question, answer and generation of the items of each suite in which the model says something."""
        return self.tables | {suite: said_in_table(table) for suite, table in self.muse_tables.items()}

    @cached_property
    def tasks(self) -> dict[str, Scores]:
        """The numbers of each lm-eval suite, by task and metric."""
        suites = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(self.directory.glob("*/results.json"))}
        return {
            suite: {
                f"{task}/{metric}": value
                for task, metrics in tasks.items()
                for metric, value in metrics.items()
                if isinstance(value, int | float)
            }
            for suite, tasks in suites.items()
        }

    def source(self, suite: str) -> Path:
        """Return where the items of a TOFU suite lie."""
        return self.directory / suite / TABLE

    def muse_source(self, suite: str) -> Path:
        """Return where the items of a MUSE suite lie."""
        return self.directory / suite / MUSE_TABLE

    def muse_beside(self, items: MuseItems, suite: str, source: Path) -> MuseItems:
        """Return the items of a MUSE suite, this being Retrain, to which those of a model are compared.

        Raises UserError for other texts, and where Retrain has no such suite; `source` is where the model's items lie.
        """
        if suite not in self.muse:
            raise UserError(f"{self.muse_source(suite)}: missing, and PrivLeak needs Retrain's losses")
        if items.texts != self.muse[suite].texts:
            raise UserError(f"{source}: other texts than Retrain in {self.muse_source(suite)}")
        return self.muse[suite]

    def forget_set(self, suite: str) -> Items:
        """Return the forget set of a suite; raises UserError where there is none."""
        try:
            return self.sets[suite]["forget"]
        except KeyError:
            raise UserError(f"{self.source(suite)}: no forget set, which forget quality needs") from None

    def forget_rows(self, suite: str) -> pd.DataFrame:
        """Return the rows of a suite's forget set."""
        table = self.tables[suite]
        return table[table["set"] == "forget"]

    def forget_part(self, suite: str, ids: Collection[str]) -> Items:
        """Return the items of a suite's forget set with these ids."""
        return select_items(self.forget_set(suite), self.forget_rows(suite)["id"].isin(ids).tolist())

    def judge(self, items: Items, suite: str, source: Path, part: Collection[str] | None = None) -> ForgetQuality:
        """Return the forget quality of a model's items, this being Retrain; `part` are the ids where they are not all.

        Raises UserError for other questions; `source` is where the items lie.
        """
        reference = self.forget_set(suite) if part is None else self.forget_part(suite, part)
        if mismatch := question_mismatch(items, reference):
            raise UserError(f"{source}: other forget questions than Retrain in {self.source(suite)}: {mismatch}")
        return compare_forget_sets(items, reference)


class Trajectory(Artefact):
    """A trajectory: a table of the items, the divergence from the start model and the gradient weights, by epoch."""

    @property
    def suite(self) -> str:
        """The suite that was run after its epochs."""
        return str(self.identity["suite"])

    @property
    def is_watched(self) -> bool:
        """Whether it has any table: one whose start model diverged has none."""
        return self.is_muse or (self.directory / TABLE).exists()

    @cached_property
    def is_muse(self) -> bool:
        """Whether that is a MUSE suite."""
        return self.muse_source.exists()

    @property
    def muse_source(self) -> Path:
        """Where the items of a MUSE suite lie."""
        return self.directory / MUSE_TABLE

    def muse(self) -> Iterator[tuple[int, MuseItems]]:
        """Yield each epoch with the items of a MUSE suite."""
        for epoch, rows in read_frame(self.muse_source).groupby("epoch"):
            yield int(str(epoch)), muse_items(rows, self.muse_source)

    def scores(self, retrain: Evaluation) -> Iterator[tuple[int, Scores]]:
        """Yield each epoch with the suite's scores, and how close to Retrain the model is: its forget quality or PrivLeak."""
        if self.is_muse:
            for number, items in self.muse():
                yield number, muse_scores(items, retrain.muse_beside(items, self.suite, self.muse_source))
            return
        path = self.directory / TABLE
        for epoch, rows in read_frame(path).groupby("epoch"):
            sets = sets_from_table(rows, path)
            if "forget" not in sets:
                raise UserError(f"{path}: no forget set, which forget quality needs")
            quality = retrain.judge(sets["forget"], self.suite, path).p_value
            yield int(str(epoch)), tofu_scores(sets) | {"forget_quality": quality}

    def divergences(self) -> Iterator[tuple[int, Scores]]:
        """Yield each epoch with the divergence from the start model on each set, in nats per token."""
        for epoch, rows in read_frame(self.directory / DIVERGENCE_TABLE).groupby("epoch"):
            yield int(str(epoch)), {f"kl_{name}": value for name, value in zip(rows["set"], rows["kl"], strict=True)}

    def weights(self) -> pd.DataFrame:
        """Return the gradient weight of every forget item in every epoch."""
        return read_frame(self.directory / WEIGHTS_TABLE)
