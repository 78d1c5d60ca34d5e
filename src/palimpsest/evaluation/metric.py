"""Metrics of suites: their declaration, and the scoring of one model's items."""

import math
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import pandas as pd

from palimpsest.metrics.intervals import Interval

Items = TypeVar("Items")
Needs = Literal["", "original", "retrain", "other_retrains", "published"]
Name = TypeVar("Name", bound=Hashable)
Best = Literal["highest", "nearest 0", "nearest Retrain"] | None


# Bounds of metrics.
SHARE, PERCENT, COUNT, NUMBER = (0.0, 1.0), (0.0, 100.0), (0.0, math.inf), (-math.inf, math.inf)


@dataclass(frozen=True)
class Metric:
    """A metric of one kind of suite: a function of a model's items, with its presentation in the report."""

    name: str
    compute: Callable[..., float | Mapping[str, float] | None]
    """A function of the items of a model and of the metric's needs. It returns a number; or several numbers by suffixes of the
    metric's name; or None if it does not apply to these items. A number that is not finite is reported as undefined."""
    label: str = ""
    """The head of the metric's column; a metric without a head has no column."""
    group: str = ""
    """The common head of the metric's column and its neighbours."""
    best: Best = None
    """The rule for the marked value of the column."""
    needs: Needs | tuple[Needs, ...] = ""
    """The fields of `Against` that the metric compares with; if one is missing, the metric is left out."""
    attacked: str = ""
    """The title of the metric on the page of attacks; a metric without a title is not on it. One that needs no Retrain says how
    much a model knows of the forget set: 0 or more, higher for more."""
    interval: Callable[..., Interval] | None = None
    """A function with the arguments of `compute` that returns the 95 % interval over items."""
    suffixes: Sequence[str] = ()
    """What `compute` appends to the name, if it returns several numbers."""
    formula: str = ""
    """How it is computed, in the symbols of `Scoring.symbols`."""
    bounds: tuple[float, float] = NUMBER
    """The least and the greatest possible value."""
    source: str = ""
    """Where the formula is from; empty if it is ours."""

    @property
    def compares_with(self) -> tuple[Needs, ...]:
        """The fields of `Against` that the metric needs."""
        return self.needs if isinstance(self.needs, tuple) else (self.needs,) if self.needs else ()


@dataclass(frozen=True)
class Against(Generic[Items]):
    """The Original, the Retrains and published scores that a model is compared with."""

    retrain: Items | None = None
    """The items of the run's Retrain."""
    other_retrains: Sequence[Items] = ()
    """The Retrains with other seeds, for Retrain itself."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Published scores of a Retrain, by metric."""
    original: Items | None = None
    """The items of the run's Original."""


@dataclass(frozen=True)
class Scoring(Generic[Items]):
    """The scoring of one kind of suite, declared in its module `scores`."""

    read: Callable[[pd.DataFrame, object], Items]
    """Return the items of one model; raises UserError that begins with the second argument if the table is not the suite's."""
    metrics: Sequence[Metric]
    complete: Callable[..., pd.DataFrame] = lambda table, **settings: table
    """Return a table of the suite with the columns that follow from its texts and losses, such as ROUGE; without a model. Takes
    the settings that the suite names in `scored`."""
    symbols: str = ""
    """The symbols of the formulas, for docs/reference/metrics.md."""
    check: Callable[[Items, object, Items, object], None] | None = None
    """Raise UserError if a model and Retrain have different items; arguments: items and source of the model, then of Retrain."""
    examples: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """The number of examples that the report takes from a set, and whether it shows them as `forget` or `retain`."""
    said: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table
    """Return set, id, question, answer and generation of the items with generated text, no two with the same id."""
    said_numbers: Mapping[str, str] = field(default_factory=dict)
    """The heads of the further columns of `said`: the numbers of each of these items."""
    truth_ratios: Callable[[Items], pd.DataFrame] | None = None
    """Return set, id, half, answer_tokens and truth_ratio of each item."""
    losses: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    """Return the rows of the forget set in a table of the suite, with the `tokens` of the answer and its summed `nll`."""


def best_of(values: Mapping[Name, float], rule: Best, retrain: float | None, printed: Callable[[float], str]) -> set[Name]:
    """Return the names whose printed value is best by the rule of a metric; empty if fewer than two compete or all are best."""
    goal = {"highest": math.inf, "nearest 0": 0.0, "nearest Retrain": retrain}.get(rule or "")
    if goal is None or not values:
        return set()
    merits = {name: value if goal == math.inf else -abs(value - goal) for name, value in values.items()}
    # A reader sees no difference between values that print alike.
    best = {printed(values[name]) for name, merit in merits.items() if merit == max(merits.values())}
    names = {name for name, value in values.items() if printed(value) in best}
    return names if len(names) < len(values) else set()


def score(
    metrics: Sequence[Metric], items: Items, against: Against[Items], only: Collection[str] | None = None
) -> Iterator[tuple[str, float]]:
    """Yield the name and value of each number, followed by its interval as `NAME_low` and `NAME_high`.

    With `only`, yield only these metrics, without intervals.
    """
    for metric in metrics:
        given = [items, *(getattr(against, name) for name in metric.compares_with)]
        if not all(given) or (only is not None and metric.name not in only):
            continue
        value = metric.compute(*given)
        if isinstance(value, Mapping):
            yield from ((f"{metric.name}{suffix}", number) for suffix, number in value.items())
        elif value is not None:
            yield metric.name, float(value)
            if metric.interval and only is None:
                low, high = metric.interval(*given)
                yield from ((f"{metric.name}_low", float(low)), (f"{metric.name}_high", float(high)))
