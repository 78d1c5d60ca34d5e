"""The figures of the report as data: a grid of panels, each of one kind, made from tidy tables; `vega.py` draws them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from palimpsest.report.style import SOFT
from palimpsest.report.words import QUALITY, SIGNED

Kind = Literal["curves", "dots", "ecdf", "heatmap", "scatter", "paths"]
Scale = Literal["", "quality", "root", "log", "symlog"]
# The level that guessing reaches.
GUESSING = "chance"


@dataclass(frozen=True)
class Axis:
    """An axis: its label and scale; `names` are categories at 0, 1, 2, ..., `zero` lets a linear axis begin at 0."""

    label: str = ""
    scale: Scale = ""
    names: Sequence[str] = ()
    zero: bool = False


@dataclass(frozen=True)
class Look:
    """How an entry of the legend looks: a mark, a line, both, or an area."""

    colour: str = SOFT
    shape: str = ""
    """Of Vega, or an SVG path; "" for no mark."""
    size: float = 7.0
    """Diameter of the mark in pixels."""
    hollow: bool = False
    dash: Sequence[int] | None = None
    """Dashes and gaps of the line, none of them for a solid line; None for no line."""
    area: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel: `data` has the columns `method`, `variant`, `seed`, `x` and `y`, and by kind some more.

    These are `low` and `high` (bounds of y; of x for dots), `x_low` and `x_high`, `main` (false: a
    variant that does not represent its method), `open` (a hollow mark, a dashed line), `value` (the colour of a cell),
    `folder` (where the model lies, below the results).
    """

    kind: Kind
    data: pd.DataFrame
    title: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    note: str = ""
    levels: Mapping[str, float] = field(default_factory=dict)
    """What Original, Retrain or guessing reach, by name: a line across."""
    good: tuple[float, float] | None = None
    """Between which values a model is good: shaded."""
    marks: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Single points on top, as `data` of a scatter."""
    rings: Sequence[tuple[float, float]] = ()
    """Points that are outlined, such as the default setting."""
    write: Callable[[float], str] = "{:.3g}".format
    """How a cell of a heatmap is written."""
    shade: Scale = ""
    """The scale of the colours of a heatmap."""
    least: float | None = None
    """What x must be at least: a line upwards."""

    @property
    def qualities(self) -> Iterable[float]:
        """The forget qualities that it shows."""
        columns = [name for name, axis in (("x", self.x), ("y", self.y)) if axis.scale == "quality"]
        columns += ["value"] if self.shade == "quality" else []
        levels = [*self.levels.values()] if self.y.scale == "quality" else []
        return [value for name in columns for value in self.data[name].dropna()] + levels


@dataclass(frozen=True)
class Grid:
    """Rows of panels, each under its title; at most `wide` panels stand beside each other."""

    rows: Sequence[tuple[str, Sequence[Panel]]]
    wide: int = 4
    height: int = 160
    """Height of a panel in pixels; one of dots or cells has room for them."""
    labels: Mapping[str, Look] = field(default_factory=dict)
    """Further entries of the legend, by text."""
    empty: str = "There is nothing to show."


def axis_of(metric: str, label: str = "") -> Axis:
    """Return the axis of a metric: p-values have a scale of their own, and all but a signed one begin at 0."""
    return Axis(label, "quality") if metric == QUALITY else Axis(label, zero=not metric.startswith(SIGNED))


def metric_panels(
    kind: Kind,
    data: pd.DataFrame,
    titles: Mapping[str, str],
    x: Axis = Axis(),
    levels: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Panel]:
    """Return a panel per metric that `data` has, by its columns `metric` and `value`; `levels` are by metric.

    Curves go over x, which `data` has; dots have the value across.
    """
    found = []
    is_dots = kind == "dots"
    for metric, title in titles.items():
        of, axis = data[data["metric"] == metric], axis_of(metric)
        if len(of):
            shown = of.assign(x=of["value"]) if is_dots else of.assign(y=of["value"])
            axes = (axis, Axis()) if is_dots else (x, axis)
            found.append(Panel(kind, shown, title, *axes, levels=(levels or {}).get(metric, {})))
    return found


def stacked(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return tables below each other; empty of none."""
    found = [part for part in parts if len(part)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
