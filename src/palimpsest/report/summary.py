"""The summary of a study: the scores of its runs below each other, and the trials behind its selections."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from palimpsest.scores.artefacts import Artefact, Measured
from palimpsest.scores.columns import ARTEFACT_COLUMNS, stack, stack_samples
from palimpsest.scores.tables import artefact_paths
from palimpsest.selection.rule import TRIAL_TYPES

SELECTION_TYPES = dict.fromkeys(("benchmark", "split", "model", "method"), "str") | TRIAL_TYPES | {"reason": "str"}
SELECTION_COLUMNS = list(SELECTION_TYPES)
# What the logs that others made are; a summary without any has no such file.
IMPORTED = "external.json"


def read_scores(folders: Sequence[Path], name: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return one table of all runs, in their order."""
    return stack([pd.read_parquet(folder / f"{name}.parquet") for folder in folders], columns)


def read_samples(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the answers of the models of all runs, in their order."""
    return stack_samples([pd.read_parquet(folder / "samples.parquet") for folder in folders])


def read_artefacts(folders: Sequence[Path]) -> pd.DataFrame:
    """Return where the numbers of all runs lie."""
    read = [pd.read_csv(folder / "artefacts.csv", keep_default_na=False, dtype=str) for folder in folders]
    return stack(read, ARTEFACT_COLUMNS)


def read_imported(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return what the logs that others made are, in their order."""
    return [json.loads((folder / "provenance.json").read_text("utf-8")) for folder in folders]


def imported_paths(folders: Sequence[Path]) -> pd.DataFrame:
    """Return where the numbers of the logs that others made lie, as `read_artefacts` does."""
    found = [
        Measured(
            {name: one[name] for name in ("benchmark", "split", "model", "seed")} | {"method": one["name"], "variant": ""},
            folder,
            "evaluation",
            [one["suite"]],
        )
        for one, folder in zip(read_imported(folders), folders, strict=True)
    ]
    return artefact_paths(found).astype("str")


def read_selections(selections: Mapping[str, Path]) -> pd.DataFrame:
    """Return the trials of all selections, each with the reason of its selection; the columns are `SELECTION_COLUMNS`.

    The folders are by `benchmark/split/model/method`.
    """
    parts = [
        pd.read_parquet(folder / "trials.parquet").assign(
            **dict(zip(SELECTION_COLUMNS, key.split("/"), strict=False)), reason=_reason(folder)
        )
        for key, folder in selections.items()
        if (folder / "trials.parquet").exists()
    ]
    return stack(parts, SELECTION_COLUMNS, SELECTION_TYPES)


def _reason(folder: Path) -> str:
    """Return why a trial was selected; of a selection that diverged, that it did."""
    if diverged := Artefact({}, folder).diverged:
        return f"No trial was selected: {diverged}."
    reason: str = json.loads((folder / "selection.json").read_text("utf-8"))["reason"]
    return reason
