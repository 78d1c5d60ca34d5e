"""Metrics of suites: how they are declared, and how the items of one model are scored by them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import pandas as pd

from palimpsest.metrics.intervals import Interval

Items = TypeVar("Items")
Needs = Literal["", "retrain", "other_retrains", "published"]
Best = Literal["highest", "nearest 0", "nearest Retrain"] | None


@dataclass(frozen=True)
class Metric:
    """A metric of one kind of suite: a function of a model's items, and what a table of the report needs to know of it."""

    name: str
    compute: Callable[..., float | Mapping[str, float] | None]
    """Takes the items of a model, and after them what the metric needs. Returns a number; or several by their suffixes, which
    follow the metric's name; or None where these items do not have it. A number that is not finite is told as not defined."""
    label: str = ""
    """The head of its column; a metric without one has no column."""
    group: str = ""
    """The head that its column shares with others."""
    best: Best = None
    """Which value its column marks."""
    needs: Needs = ""
    """The field of `Against` that it compares with; a metric that lacks it is left out."""
    interval: Callable[..., Interval] | None = None
    """Returns its 95 % interval over items; takes what `compute` takes."""


@dataclass(frozen=True)
class Against(Generic[Items]):
    """What the items of a model are compared with."""

    retrain: Items | None = None
    """The items of the run's Retrain."""
    other_retrains: Sequence[Items] = ()
    """For Retrain itself: the Retrains of other seeds."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published scores of a Retrain, by metric."""


@dataclass(frozen=True)
class Scoring(Generic[Items]):
    """How one kind of suite is scored: the declaration in its module `scores`."""

    read: Callable[[pd.DataFrame, object], Items]
    """Return the items of one model; raises UserError, its second argument first, for a table that is none of the suite."""
    metrics: Sequence[Metric]
    check: Callable[[Items, object, Items, object], None] | None = None
    """Raise UserError where a model was asked something else than Retrain: items and source of the one, then of the other."""
    examples: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """How many examples the report takes of a set, and whether it shows them as `forget` or `retain`."""
    said: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table
    """Return set, id, question, answer and generation of the items in which a model says something."""
    truth_ratios: Callable[[Items], pd.DataFrame] | None = None
    """Return set, id, half, answer_tokens and truth_ratio of each item."""


def score(
    metrics: Sequence[Metric], items: Items, against: Against[Items], only: Collection[str] | None = None
) -> Iterator[tuple[str, float]]:
    """Yield the name and value of each number, and after it its interval as `NAME_low` and `NAME_high`.

    With `only` these metrics alone, without intervals.
    """
    for metric in metrics:
        given = [items, getattr(against, metric.needs)] if metric.needs else [items]
        if not given[-1] or (only is not None and metric.name not in only):
            continue
        value = metric.compute(*given)
        if isinstance(value, Mapping):
            yield from ((f"{metric.name}{suffix}", number) for suffix, number in value.items())
        elif value is not None:
            yield metric.name, float(value)
            if metric.interval and only is None:
                low, high = metric.interval(*given)
                yield from ((f"{metric.name}_low", float(low)), (f"{metric.name}_high", float(high)))
