"""Scores from item tables, in one way for finished models, the epochs of a trajectory and the draws of an attack."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from palimpsest.benchmarks.suites import added_metrics, load
from palimpsest.errors import UserError
from palimpsest.evaluation.items import read_frame
from palimpsest.evaluation.metric import Against, Metric, Scoring, score
from palimpsest.scores.columns import COLUMNS, stack

Place = dict[str, Any]
Scores = dict[str, float]


@dataclass(frozen=True)
class Retrains:
    """The Retrains and the Original that the models of a run are compared with, by the tables of their items."""

    own: Path | None
    others: Sequence[Path] = ()
    """The tables of Retrains with other seeds."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published scores of a Retrain, by metric."""
    original: Path | None = None
    is_absent: bool = False
    """Whether the run's Retrain diverged or could not be made; scores that need it are then missing without an error."""


class Scorer:
    """One suite with the Retrains that models are compared with; each table is read once."""

    def __init__(
        self,
        suite: str,
        kind: str,
        retrains: Retrains,
        settings: Mapping[str, Any] | None = None,
        read: Callable[[Path], pd.DataFrame] = read_frame,
    ) -> None:
        self.suite = suite
        scoring: Scoring[Any] = load(kind, "scores").SCORING
        self.scoring = scoring
        self.read: Callable[[Path], pd.DataFrame] = cache(lambda path: scoring.complete(read(path), **(settings or {})))
        """Return a complete item table; each is read once."""
        self._metrics: list[Metric] = [*self.scoring.metrics, *(point.load() for point in added_metrics(kind))]
        self._retrains = retrains

    def scores(self, path: Path, only: Collection[str] | None = None) -> Iterator[tuple[int | None, Scores]]:
        """Yield the scores of an item table by epoch (None without epochs); of several draws, the mean and the spread, without
        intervals.

        With `only`, yield only these metrics, without intervals. Raises UserError if Retrain is missing or has other items.
        """
        table = self.read(path)
        for epoch, rows in _groups(table, "epoch"):
            if "draw" not in table:
                yield epoch, self._score(rows, path, only)
                continue
            draws = [draw for _, draw in _groups(self._asked(rows), "draw")]
            # The mean of several intervals is no interval.
            named = only if only is not None or len(draws) == 1 else [metric.name for metric in self._metrics]
            yield epoch, _over_draws([self._score(draw, path, named) for draw in draws])

    def _score(self, rows: pd.DataFrame, path: Path, only: Collection[str] | None) -> Scores:
        items = self.scoring.read(rows, path)
        self._check(items, path)
        others = self._others if path == self._retrains.own else ()
        return dict(score(self._metrics, items, self._against(others), only))

    def _against(self, others: Sequence[Any]) -> Against[Any]:
        return Against(self._retrain, others, self._retrains.published, self._original)

    def _check(self, items: Any, path: Path) -> None:
        """Raise UserError if a model was evaluated on other items than Retrain."""
        if self.scoring.check and self._retrain is not None:
            self.scoring.check(items, path, self._retrain, self._retrains.own)

    def _asked(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of an attack whose items are also in an evaluation; an attack measures all items.

        It is Retrain's evaluation, or Original's if Retrain is absent. Returns all rows if no metric needs Retrain, or both are
        absent.
        """
        evaluated = self._retrains.own if self._retrain is not None else self._retrains.original
        if self._needing is None or evaluated is None:
            return rows
        keys = ["set", "id"]
        known = pd.MultiIndex.from_frame(self.read(evaluated)[keys])
        return rows[pd.MultiIndex.from_frame(rows[keys]).isin(known)]

    @cached_property
    def _retrain(self) -> Any:
        """The items of Retrain; None if it is absent or no metric needs it."""
        if self._needing is None or self._retrains.is_absent:
            return None
        if (path := self._retrains.own) is None:
            raise UserError(f"no Retrain was given (--in retrain=), but {self._needing} of suite {self.suite} needs it")
        if not path.exists():
            raise UserError(f"{path}: missing, but {self._needing} needs the items of Retrain")
        return self.scoring.read(self.read(path), path)

    @cached_property
    def _needing(self) -> str | None:
        """The first metric that compares with Retrain."""
        return next((metric.name for metric in self._metrics if "retrain" in metric.compares_with), None)

    @cached_property
    def _original(self) -> Any:
        """The items of Original; None if it was not evaluated by this suite, or no metric needs it."""
        path = self._retrains.original
        if path is None or not any("original" in metric.compares_with for metric in self._metrics):
            return None
        return self.scoring.read(self.read(path), path)

    @cached_property
    def _others(self) -> list[Any]:
        """The items of the Retrains with other seeds."""
        found = [self.scoring.read(self.read(path), path) for path in self._retrains.others]
        for items, path in zip(found, self._retrains.others, strict=True):
            self._check(items, path)
        return found


def tidy_numbers(scored: Iterable[tuple[Place, Scores]]) -> pd.DataFrame:
    """Return one row per number, with `COLUMNS`; an undefined number has no row."""
    rows = [
        place | {"metric": metric, "value": value}
        for place, scores in scored
        for metric, value in scores.items()
        if math.isfinite(value)
    ]
    return stack([pd.DataFrame(rows, columns=COLUMNS)], COLUMNS)


def _groups(table: pd.DataFrame, key: str) -> Iterator[tuple[int | None, pd.DataFrame]]:
    """Yield the rows for each value of a key column, without that column; all rows if the table lacks it."""
    if key not in table:
        yield None, table
        return
    for value, rows in table.groupby(key):
        yield int(str(value)), rows.drop(columns=key)


def _over_draws(draws: Sequence[Scores]) -> Scores:
    """Return the mean of each score over the draws of an attack, and with several draws its spread as `NAME_sd`."""
    values = pd.DataFrame(draws)
    spread = values.std(skipna=False).add_suffix("_sd")
    return dict(pd.concat([values.mean(skipna=False), spread]).to_dict())
