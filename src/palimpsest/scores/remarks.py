"""Remarks that a reader of the numbers must know: models that diverged, are missing, or did not change."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from palimpsest.scores.artefacts import Measured, Measurement
from palimpsest.scores.columns import REMARK_COLUMNS, stack
from palimpsest.scores.numbers import Scores
from palimpsest.settings import Settings

# A manifest has two kinds of remarks. The scores add three: an artefact diverged, an artefact is missing, a number is undefined.
DIVERGED, MISSING, UNDEFINED = "diverged", "missing", "undefined"
# Spreads and interval bounds, which are undefined for few values.
SPREADS = ("_sd", "_low", "_high")


def is_error(name: str) -> bool:
    """Return whether a number of lm-eval is the standard error of a score; one with a filter ends in the filter's name."""
    return "_stderr" in name.rsplit("/", 1)[-1]


class Gap(Settings):
    """An artefact of the study that could not be made: its model, and the reason."""

    method: str
    variant: str
    attack: str = ""
    of: Measurement
    reason: str


class StudyGap(Settings):
    """The scores of a run, or of an imported log, that could not be made."""

    benchmark: str
    split: str
    model: str
    seed: int
    method: str
    of: Literal["scores", "log"]
    reason: str


def remarks(run: Mapping[str, Any], measured: Iterable[Measured], gaps: Iterable[Gap]) -> pd.DataFrame:
    """Return one row per remark on the models of a run, and one per gap, with `REMARK_COLUMNS`.

    What holds for the evaluations of a model by several suites is said once.
    """
    rows = [row for each in measured for row in _of_artefact(each)]
    rows += [{**run, **gap.model_dump(exclude={"reason"}), "kind": MISSING, "text": gap.reason} for gap in gaps]
    return as_table(rows).drop_duplicates(ignore_index=True)


def study_remarks(gaps: Iterable[StudyGap]) -> pd.DataFrame:
    """Return one row per gap, with `REMARK_COLUMNS`."""
    return as_table(
        [{**gap.model_dump(exclude={"reason"}), "variant": "", "attack": "", "kind": MISSING, "text": gap.reason} for gap in gaps]
    )


def undefined(places: Iterable[tuple[Mapping[str, Any], Scores]]) -> pd.DataFrame:
    """Return one row per model with scores that are not finite and therefore missing from the numbers."""
    rows = []
    for place, scores in places:
        scored = {name: value for name, value in scores.items() if not (name.endswith(SPREADS) or is_error(name))}
        names = [name for name, value in scored.items() if not math.isfinite(value)]
        if names:
            when = "" if place.get("epoch") is None else f" after epoch {place['epoch']}"
            text = f"{', '.join(names)} of suite {place['suite']} {'are' if len(names) > 1 else 'is'} not defined{when}"
            rows.append({**place, "of": _attempt(place), "kind": UNDEFINED, "text": text})
    return as_table(rows)


def as_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return remarks as a table with `REMARK_COLUMNS`."""
    return stack([pd.DataFrame(list(rows), columns=REMARK_COLUMNS)], REMARK_COLUMNS)


def _of_artefact(measured: Measured) -> Iterator[dict[str, Any]]:
    about = {**measured.identity, "of": measured.of}
    if measured.diverged:
        yield {**about, "kind": DIVERGED, "text": str(measured.diverged)}
    for remark in measured.remarks:
        yield {**about, **remark._asdict()}


def _attempt(place: Mapping[str, Any]) -> Measurement:
    if place["attack"]:
        return "attack"
    return "evaluation" if place["epoch"] is None else "trajectory"
