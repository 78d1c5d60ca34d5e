"""The metrics of a judge's verdicts."""

from collections.abc import Mapping

import pandas as pd

from palimpsest.errors import UserError
from palimpsest.evaluation.judging.verdicts import SCHEMA
from palimpsest.evaluation.metric import COUNT, SHARE, Best, Metric, Scoring
from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.spread import mean

# The verdicts on each set, null for a reply that is none; a set without answers is missing.
Verdicts = Mapping[str, pd.Series]
FORGET, RETAIN = "forget", "retain"
SOURCE = "ours; judges: arXiv 2306.05685"


def read(table: pd.DataFrame, source: object) -> Verdicts:
    """Return the verdicts of a table; raises UserError that begins with `source` if a column is missing."""
    if missing := [name for name in SCHEMA.names if name not in table]:
        raise UserError(f"{source}: no column {missing[0]!r}")
    return {str(name): rows["told"] for name, rows in table.groupby("set")}


def _share(name: str, best: Best, head: str) -> Metric:
    """Return the share of a set's answers that tell the right answer, among those with a verdict."""

    def values(verdicts: Verdicts) -> list[float]:
        return [float(told) for told in verdicts[name].dropna()]

    def compute(verdicts: Verdicts) -> float | None:
        return mean(values(verdicts)) if name in verdicts else None

    def interval(verdicts: Verdicts) -> Interval:
        return bootstrap_interval(values(verdicts))

    return Metric(
        f"judged_{name}",
        compute,
        head,
        "Told, by the judge",
        best,
        interval=interval,
        formula=f"share of the answers on the {name} set that tell the right answer, among those with a verdict of the judge",
        bounds=SHARE,
        source=SOURCE,
    )


METRICS = (
    _share(FORGET, "nearest Retrain", "Forget\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}Retrain"),
    _share(RETAIN, "highest", "Retain\N{NO-BREAK SPACE}↑"),
    Metric(
        "judged_without_verdict",
        lambda verdicts: float(sum(told.isna().sum() for told in verdicts.values())) or None,
        formula="number of replies of the judge without a verdict; missing if every reply has one",
        bounds=COUNT,
    ),
)
SCORING = Scoring[Verdicts](read=read, metrics=METRICS)
