"""Figures as Vega-Lite: a grid of panels becomes one spec of plain dictionaries, for the page and for the files alike."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.names import RETRAIN, ROLES
from palimpsest.report.figures import GUESSING, Axis, Grid, Look, Panel
from palimpsest.report.names import PROMINENT, method_name, model_label, model_order
from palimpsest.report.rows import root_of_decades
from palimpsest.report.style import (
    AREA,
    DASH_DOTTED,
    DASHED,
    DOTTED,
    FONT,
    GOOD,
    INK,
    LINES,
    PAPER,
    SHADES,
    SOFT,
    SOLID,
    colour_of,
    shape_of,
    size_of,
)
from palimpsest.report.words import SIGNIFICANCE, counted, format_quality, joined, typeset

Spec = dict[str, Any]
Rows = list[dict[str, Any]]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
# Pixels of a figure, of one with a single panel across, and of what stands around the plot of a panel.
WIDTH, NARROW, LETTER, AROUND = 940, 660, 6.2, 30
ROW, LEGEND_ROW, CELL_ROW = 24, 19, 30
LEAST, CELL = 110, 36
# P-values below the last tick are drawn at it: they say the same, and some are 0 by underflow.
QUALITY_TICKS = (1.0, 0.5, 0.1, 0.01, 1e-3, 1e-5, 1e-10, 1e-20)
RATIO_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
ROOT_TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100, 200, 500)
SYMLOG_TICKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
# Where a symmetric logarithmic scale passes from linear to logarithmic.
LINEAR = 0.5
# Axes that count have whole ticks.
COUNTS = ("Epoch", "Step")
# Of more methods only the prominent ones have bands and broad lines; more other variants share one entry of the legend; and a
# line of more points has no marks.
FEW, LISTED, MARKED = 4, 4, 30
# Of the variants of a method the first has a solid line.
DASHES = (SOLID, DASHED, (2, 2), DASH_DOTTED, (12, 3), (12, 3, 3, 3))
# Pixels: marks nearer to each other than the first lie in each other, and each is wider by the second than the mark above it.
NEAR, LARGER = 6.0, 3.0
# A key and a mouse wheel zoom, so that the wheel alone still scrolls the page.
ZOOM = "wheel![event.ctrlKey || event.metaKey]"
HIDDEN: Spec = {"param": "hidden", "empty": False}
TIPS = {"model": "Model", "seed": "Seed", "item": "Item", "tx": "", "ty": "", "folder": "Folder"}
# Names below a plot that has no room for them side by side.
TILTED: Spec = {"labelAngle": -30, "labelOverlap": False}
# Panels share no colours that stand for numbers.
APART: Spec = {"scale": {"color": "independent"}}
CONFIG: Spec = {
    "background": PAPER,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        **{"domainColor": SOFT, "tickColor": SOFT, "labelColor": SOFT, "gridColor": LINES, "titleColor": INK},
        **{"labelFontSize": 11, "titleFontSize": 11.5, "titleFontWeight": "normal", "labelLimit": 200, "titlePadding": 6},
        **{"labelOverlap": "greedy", "labelSeparation": 5, "labelFlush": False, "tickSize": 4},
    },
    "title": {"color": INK, "fontSize": 12, "fontWeight": "normal", "anchor": "start", "offset": 8},
    "text": {"color": SOFT, "fontSize": 11},
    "point": {"opacity": 1},
    "aria": False,
}


def spec_of(grid: Grid) -> Spec:
    """Return a grid as one spec with one legend; one without panels says why.

    The page may lay it out anew. `usermeta` has what the page needs for this, in pixels: for each row the margin beside a plot,
    the width of the names at the left, the usual and the least width of a plot, and for each plot the width of its names across.
    """
    panels = [panel for _, row in grid.rows for panel in row]
    if not panels:
        text = {"data": {"values": [{}]}, "mark": {"type": "text"}, "encoding": {"text": {"value": grid.empty}}}
        return {"$schema": SCHEMA, "config": CONFIG, "padding": 12, "width": 560, "height": 30, **text}
    legend = _Legend(panels, grid.labels)
    lowest = lowest_tick(quality for panel in panels for quality in panel.qualities)
    across = max(min(grid.wide, len(row)) for _, row in grid.rows)
    whole = WIDTH if across > 1 else NARROW
    rows: list[Spec] = []
    layout: list[Spec] = []
    for title, row in grid.rows:
        if row:
            drawn = [_Drawn(panel, legend, lowest, f"zoom{len(rows)}_{place}") for place, panel in enumerate(row)]
            names, margin = max(each.names_width for each in drawn), max(each.margin for each in drawn)
            width = min(round((whole - names) / across - margin), 520)
            height = max(each.room or grid.height for each in drawn)
            columns = min(grid.wide, len(row))
            sized = [replace(each, width=width, height=height) for each in drawn]
            shown = [each.spec(is_first=place % columns == 0) for place, each in enumerate(sized)]
            head: Spec = {"title": {"text": title, "fontSize": 13, "offset": 10}} if title and len(grid.rows) > 1 else {}
            spacing = {"row": 18, "column": 14}
            rows.append(head | {"concat": shown, "columns": columns, "spacing": spacing, "align": "each", "resolve": APART})
            needed, least = [each.names_across for each in drawn], max(each.least for each in drawn)
            layout.append({"names": names, "margin": margin, "width": width, "across": needed, "least": least})
    views = [*rows, *([legend.spec(whole)] if legend.entries else [])]
    return {
        "$schema": SCHEMA,
        "config": CONFIG,
        "padding": 6,
        "usermeta": {"rows": layout, "cell": legend.cell, "tilted": TILTED},
        "params": [{"name": "columns", "value": legend.columns(whole)}],
        "vconcat": views,
        "spacing": 22,
        "resolve": APART,
    }


def lowest_tick(qualities: Iterable[float]) -> float:
    """Return the last tick of an axis that holds all these forget qualities."""
    least = min(qualities, default=1.0)
    return next((tick for tick in QUALITY_TICKS[3:] if tick <= least), QUALITY_TICKS[-1])


@dataclass(frozen=True)
class Scaled:
    """An axis with the values that it must hold; a forget quality is drawn at its root of the decades."""

    axis: Axis
    values: Sequence[float]
    lowest: float

    def place(self, value: float) -> float:
        """Return where a value is drawn, to five digits."""
        at = float(root_of_decades(value, self.lowest)) if self.axis.scale == "quality" else value
        return float(f"{at + 0.0:.5g}")

    def write(self, value: float) -> str:
        """Write a value for a reader who points at it."""
        if self.axis.names:
            return self.axis.names[min(max(round(value), 0), len(self.axis.names) - 1)]
        return format_quality(value) if self.axis.scale == "quality" else typeset(f"{value:.4g}")

    @property
    def domain(self) -> tuple[float, float]:
        """The ends of the axis, as places."""
        low, high = min(self.values, default=0.0), max(self.values, default=1.0)
        room = 0.06 * (high - low)
        if self.axis.names:
            return -0.5, len(self.axis.names) - 0.5
        if self.axis.scale == "quality":
            root = self.place(self.lowest)
            return 1.04 * root, -0.04 * root
        if self.axis.scale == "log":
            least = min((value for value in self.values if value > 0), default=0.1)
            return least / 1.2, max(high, least) * 1.2
        if self.axis.scale in ("root", "symlog"):
            return 0.0, max(1.05 * high, ROOT_TICKS[1] if self.axis.scale == "root" else 1.0)
        if self.axis.zero:
            # Marks at 0 are whole.
            return -0.03 * high if low < 0.03 * high else 0.0, 1.06 * high if high > 0 else 1.0
        # Of values that are all alike only rounding would show.
        return (low - 0.01, high + 0.01) if high - low < 0.01 else (low - room, high + room)

    def share(self, value: float) -> float:
        """Return how far along the axis a value is drawn, 0 to 1."""
        forward: Callable[[float], float] = {
            "root": math.sqrt,
            "log": math.log,
            "symlog": lambda at: math.log1p(at / LINEAR),
        }.get(self.axis.scale, float)
        low, high = map(forward, self.domain)
        at = self.place(value)
        return (forward(max(at, self.domain[0])) - low) / (high - low)

    def channel(self, name: str, *, is_first: bool = True) -> Spec:
        """Return the channel of its field of this name; names beside a plot are only those of the first plot of a line."""
        types = {"root": "sqrt", "log": "log", "symlog": "symlog"}
        low, high = (float(f"{end:.6g}") for end in self.domain)
        scale: Spec = {"type": types.get(self.axis.scale, "linear"), "domain": [low, high], "nice": False}
        scale |= {} if self.axis.scale == "log" else {"zero": False}
        axis: Spec = {"title": self.axis.label or None} | self._ticks()
        if self.axis.scale == "symlog":
            scale["constant"] = LINEAR
        if not is_first:
            axis["labels"] = False
        return {"field": name, "type": "quantitative", "scale": scale, "axis": axis}

    def _ticks(self) -> Spec:
        low, high = self.domain
        if self.axis.names:
            return {"values": list(range(len(self.axis.names))), **_texts(range(len(self.axis.names)), self.axis.names)}
        if self.axis.scale == "quality":
            ticks = [tick for tick in QUALITY_TICKS if tick >= self.lowest]
            labels = [typeset(f"{tick:g}" if tick >= 0.001 else f"{tick:.0e}") for tick in ticks]
            if self.lowest == QUALITY_TICKS[-1]:
                labels[-1] = f"≤{labels[-1]}"
            places = [self.place(tick) for tick in ticks]
            return {"values": places, **_texts(places, labels)}
        if self.axis.scale in ("root", "symlog"):
            ticks = [tick for tick in (ROOT_TICKS if self.axis.scale == "root" else SYMLOG_TICKS) if tick <= high]
            apart = self._apart(ticks)
            return {"values": apart, **_texts(apart, [f"{tick:g}" for tick in apart])}
        if self.axis.scale == "log":
            decades = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
            several = decades if len(decades) > 1 else [tick for tick in RATIO_TICKS if low <= tick <= high]
            return {"values": several, "format": "~g" if several and min(several) >= 1e-3 and max(several) <= 1e3 else "~e"}
        if self.axis.label.startswith(COUNTS):
            first, last = math.ceil(low), math.floor(high)
            return {"values": list(range(first, last + 1, math.ceil((last - first) / 6) or 1)), "format": "d"}
        return {"tickCount": 5}

    def _apart(self, ticks: Iterable[float]) -> list[float]:
        """Return the ticks that are not too near to the one before."""
        kept: list[float] = []
        for tick in ticks:
            if not kept or self.share(tick) - self.share(kept[-1]) >= 0.07:
                kept.append(tick)
        return kept


def _between(scaled: Scaled, mean: float, low: float, high: float) -> str:
    """Write a mean with its bounds where they differ."""
    return f"{scaled.write(mean)} ({scaled.write(low)} to {scaled.write(high)})" if low < high else scaled.write(mean)


def _texts(places: Iterable[float], labels: Iterable[str]) -> Spec:
    """Return the labels of ticks at these places."""
    return {"labelExpr": f"{json.dumps([*labels], ensure_ascii=False)}[indexof({json.dumps([*places])}, datum.value)]"}


@dataclass(frozen=True)
class _Entry:
    """An entry of the legend; `key` is what a click on it hides, "" for nothing."""

    label: str
    look: Look
    key: str = ""


@dataclass(frozen=True)
class _Legend:
    """One legend for all panels: models, levels and marks that they have, then further labels."""

    panels: Sequence[Panel]
    labels: Mapping[str, Look]

    @cached_property
    def others(self) -> list[tuple[str, str]]:
        """The variants that do not represent their methods, in panels that name models in the legend."""
        named = [panel.data for panel in self.panels if panel.kind in ("curves", "scatter") and "main" in panel.data]
        return sorted(
            {model for data in named for model in _models(data[~data["main"].astype(bool)])}, key=lambda of: model_order(*of)
        )

    def key(self, method: str, variant: str, *, main: bool) -> str:
        """Return what hides the marks of a model."""
        has_own = not main and len(self.others) <= LISTED
        return model_label(method, variant) if has_own else method_name(method)

    @cached_property
    def entries(self) -> list[_Entry]:
        """The entries, in order."""
        return [*self._methods(), *self._roles(), *self._marks()]

    def _methods(self) -> Iterator[_Entry]:
        named = [panel for panel in self.panels if panel.kind in ("curves", "scatter") and "id" not in panel.data]
        methods = {method for panel in named for method, _ in _models(panel.data)}
        # A panel that has its method for a title needs no entry.
        methods |= {m for of in self.panels if of.kind == "ecdf" for m, _ in _models(of.data) if of.title != method_name(m)}
        for method in sorted(methods - ({*ROLES} & {*self._distributions}), key=model_order):
            lines = any(panel.kind != "scatter" and method in set(panel.data["method"]) for panel in self.panels)
            look = Look(colour_of(method), shape_of(method), size_of(method), dash=SOLID if lines else None)
            yield _Entry(method_name(method), look, method_name(method))
            for place, (of, variant) in enumerate([model for model in self.others if model[0] == method][:LISTED]):
                if len(self.others) <= LISTED:
                    dash = DASHES[1 + place % (len(DASHES) - 1)]
                    hollow = replace(look, hollow=True, dash=dash if lines else None, shape="" if lines else look.shape)
                    yield _Entry(model_label(of, variant), hollow, model_label(of, variant))

    @property
    def _distributions(self) -> list[str]:
        return [method for panel in self.panels if panel.kind == "ecdf" for method, _ in _models(panel.data)]

    def _roles(self) -> Iterator[_Entry]:
        if RETRAIN in self._distributions:
            yield _Entry(method_name(RETRAIN), Look(AREA, area=True))
        lines = {*self._distributions} & {*ROLES} - {RETRAIN} | {role for panel in self.panels for role in panel.levels}
        shown = {entry.label for entry in self._methods()} | ({method_name(RETRAIN)} & {*map(method_name, self._distributions)})
        for role in sorted(lines, key=model_order):
            name = method_name(role) if role != GUESSING else GUESSING
            yield _Entry(f"{name}, level" if name in shown else name, _level_look(role))

    def _marks(self) -> Iterator[_Entry]:
        if any(axis.scale == "quality" for panel in self.panels for axis in (panel.x, panel.y)):
            yield _Entry(f"p = {SIGNIFICANCE:g}", Look(dash=DASH_DOTTED))
        if len(self.others) > LISTED:
            yield _Entry("other variants", Look(shape="circle", hollow=True, dash=DASHED))
        single = [panel for panel in self.panels if panel.kind in ("dots", "scatter") and "id" not in panel.data]
        if any(panel.data.groupby(["method", "variant"])["seed"].nunique().gt(1).any() for panel in single):
            yield _Entry("single seeds", Look(shape="circle", size=5))
        yield from (_Entry(text, look) for text, look in self.labels.items())

    @property
    def cell(self) -> int:
        """The pixels of an entry."""
        return round(LETTER * max((len(entry.label) for entry in self.entries), default=0)) + 44

    def columns(self, width: int) -> int:
        """Return how many entries stand beside each other."""
        return max(min(width // self.cell, len(self.entries)), 1)

    def spec(self, width: int) -> Spec:
        """Return the legend as a view, in which a click on an entry hides its marks or shows them again."""
        rows = [
            {
                "i": place,
                "label": entry.label,
                "key": entry.key or None,
                "colour": look.colour,
                "size": look.size**2,
                "shape": look.shape or "circle",
                "fill": PAPER if look.hollow else look.colour,
                "dash": list(look.dash or ()),
                "edge": PAPER if look.dash is None and not look.hollow else look.colour,
                "mark": bool(look.shape),
                "line": look.dash is not None,
                "area": look.area,
            }
            for place, entry in enumerate(self.entries)
            for look in [entry.look]
        ]
        at = f"(datum.i % columns) * {self.cell}"
        places = [
            {"calculate": at, "as": "left"},
            {"calculate": f"{at} + 24", "as": "right"},
            {"calculate": f"{at} + 12", "as": "middle"},
            {"calculate": f"{at} + 32", "as": "text"},
            {"calculate": f"{at} + {self.cell - 6}", "as": "end"},
            {"calculate": f"floor(datum.i / columns) * {LEGEND_ROW} + {LEGEND_ROW / 2}", "as": "y"},
            {"calculate": f"datum.y - {LEGEND_ROW / 2}", "as": "top"},
            {"calculate": f"datum.y + {LEGEND_ROW / 2}", "as": "bottom"},
        ]

        def channel(name: str, of: str) -> Spec:
            if name in ("x", "y"):
                return {"type": "quantitative", "scale": None, "axis": None, "field": of}
            return {"field": of} if name in ("x2", "y2") else _as(of)

        def layer(mark: Spec, only: str = "", **channels: str) -> Spec:
            encoding = {name: channel(name, of) for name, of in {"y": "y", **channels}.items()}
            encoding |= {"opacity": {"condition": HIDDEN | {"value": 0.25}, "value": 1}} if "opacity" not in mark else {}
            transform = [{"filter": f"datum.{only}"}] if only else []
            return {"transform": transform, "mark": mark, "encoding": encoding}

        click = layer({"type": "rect", "opacity": 0, "cursor": "pointer"}, "key", x="left", x2="end", y="top", y2="bottom")
        click["params"] = [{"name": "hidden", "select": {"type": "point", "fields": ["key"], "toggle": "true"}}]
        click["name"] = "legend"
        text = layer({"type": "text", "align": "left", "color": INK}, x="text")
        text["encoding"]["text"] = {"field": "label", "type": "nominal"}
        columns = self.columns(width)
        return {
            "width": columns * self.cell,
            "height": math.ceil(len(rows) / columns) * LEGEND_ROW,
            "data": {"values": rows},
            "transform": places,
            "layer": [
                layer({"type": "rule", "strokeWidth": 9, "strokeCap": "butt"}, "area", x="left", x2="right", color="colour"),
                layer({"type": "rule", "strokeWidth": 1.6}, "line", x="left", x2="right", color="colour", strokeDash="dash"),
                layer({"type": "point"}, "mark", x="middle", fill="fill", stroke="edge", shape="shape", size="size"),
                text,
                click,
            ],
        }


def _as(name: str) -> Spec:
    """Return a channel that takes the values of a field as they are."""
    kind = "quantitative" if name in ("size", "width", "opacity") else "nominal"
    return {"field": name, "type": kind, "scale": None}


def _models(data: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = {(str(method), str(variant)) for method, variant in zip(data["method"], data["variant"], strict=True)}
    return sorted(pairs, key=lambda model: model_order(*model))


def _level_look(role: str) -> Look:
    return Look(SOFT if role == GUESSING else colour_of(role), dash=DOTTED if role.startswith("original") else DASHED)


@dataclass(frozen=True)
class Model:
    """The rows of one model in a panel, and how they look."""

    method: str
    variant: str
    main: bool
    hollow: bool
    rows: pd.DataFrame

    @property
    def label(self) -> str:
        """What it is called."""
        return model_label(self.method, self.variant)

    @property
    def colour(self) -> str:
        """Its colour."""
        return colour_of(self.method)


def models_of(data: pd.DataFrame) -> list[Model]:
    """Return every model with its rows; the prominent last, on top."""
    data = data.assign(main=data.get("main", True), open=data.get("open", False))
    groups = data.groupby(["method", "variant", "main", "open"], sort=False)
    found = [Model(str(m), str(v), bool(main), bool(hollow), of) for (m, v, main, hollow), of in groups]
    return sorted(found, key=lambda of: (of.main, of.method in PROMINENT, of.hollow))


def spread(rows: pd.DataFrame, key: str, value: str) -> pd.DataFrame:
    """Return mean, low and high of a column by another: given bounds, or else the range over seeds."""
    found = rows.groupby(key)[value].agg(["mean", "min", "max"])
    for ours, given in (("min", "low"), ("max", "high")):
        if given in rows:
            found[ours] = rows.groupby(key)[given].mean().fillna(found[ours])
    return found


def nested_sizes(points: Sequence[tuple[float, float]], sizes: Sequence[float], names: Sequence[str]) -> list[float]:
    """Return the diameter of each mark; a mark below a later mark of another name is the larger one, so that both show."""
    found = list(sizes)
    for place in range(len(points) - 2, -1, -1):
        on_top = [on for on in range(place + 1, len(points)) if names[on] != names[place]]
        above = [found[on] for on in on_top if math.dist(points[place], points[on]) < NEAR]
        found[place] = max([found[place], *(size + LARGER for size in above)])
    return found


@dataclass(frozen=True)
class _Drawn:
    """One panel and how it is drawn."""

    panel: Panel
    legend: _Legend
    lowest: float
    zoom: str
    """The name of what zooms it."""
    width: int = 0
    height: int = 0
    """The pixels of its plot."""

    @cached_property
    def _data(self) -> pd.DataFrame:
        data = self.panel.data
        if self.panel.kind == "ecdf":
            return data.dropna(subset="x")
        return data if self.panel.kind == "heatmap" else data.dropna(subset=["x", "y"] if "y" in data else ["x"])

    @cached_property
    def models(self) -> list[tuple[str, str]]:
        """The models in the order of the tables."""
        return _models(self._data)

    @cached_property
    def x(self) -> Scaled:
        """The axis across."""
        if self.panel.kind == "ecdf":
            return Scaled(Axis(self.panel.x.label, "log"), [10**end for end in self._ends], self.lowest)
        columns = ["x", "x_low", "x_high", *(["low", "high"] if self.panel.kind == "dots" else [])]
        more = [*self.panel.levels.values(), *(self.panel.good or ())] if self.panel.kind == "dots" else []
        more += [self.panel.least] if self.panel.least is not None else []
        return self._scaled(
            "x", self.panel.x, columns if "x_low" not in self._data or self.panel.kind != "curves" else ["x"], more
        )

    @cached_property
    def y(self) -> Scaled:
        """The axis upwards."""
        if self.panel.kind == "dots":
            return Scaled(Axis(names=[model_label(*model) for model in self.models]), (), self.lowest)
        if self.panel.kind == "ecdf":
            return Scaled(replace(self.panel.y, zero=True), [0.0, 1 / 1.06], self.lowest)
        return self._scaled("y", self.panel.y, ["y", "low", "high"], [*self.panel.levels.values()])

    def _scaled(self, name: str, axis: Axis, columns: Sequence[str], more: Sequence[float]) -> Scaled:
        known = self._data[[column for column in columns if column in self._data]].to_numpy(dtype=float).ravel()
        marks = self.panel.marks[name].tolist() if len(self.panel.marks) else []
        rings = [ring[name == "y"] for ring in self.panel.rings]
        # Lines seed by seed are near each other, on a scale of their own.
        lowest = lowest_tick(self.panel.qualities) if self.panel.kind == "paths" else self.lowest
        return Scaled(axis, [*known[np.isfinite(known)].tolist(), *more, *marks, *rings], lowest)

    @property
    def names_across(self) -> int:
        """The pixels that the names across need side by side."""
        return round(LETTER * sum(map(len, self.panel.x.names)) / 0.8)

    @property
    def least(self) -> int:
        """The pixels of the narrowest plot, in which the numbers of a heatmap do not touch."""
        return max(LEAST, CELL * len(self.panel.x.names) if self.panel.kind == "heatmap" else 0)

    @property
    def names_width(self) -> int:
        """The pixels of the names beside the first plot of a line."""
        labels = self.y.axis.names if self.panel.kind == "dots" else ()
        return round(LETTER * max(map(len, labels), default=0))

    @property
    def margin(self) -> int:
        """The pixels around the plot, from side to side."""
        if self.panel.kind == "dots":
            return AROUND
        labels = self.y.axis.names or (["≤1e-20"] if self.y.axis.scale == "quality" else ["0.00"])
        return AROUND + round(LETTER * max(map(len, labels))) + 20 * bool(self.panel.y.label)

    @property
    def room(self) -> int:
        """The pixels upwards, where the number of models or cells decides; else 0."""
        if self.panel.kind == "dots":
            return ROW * len(self.models) + 8
        return CELL_ROW * len(self.panel.y.names) if self.panel.kind == "heatmap" else 0

    def spec(self, *, is_first: bool) -> Spec:
        """Return the panel as a view of layers with shared axes."""
        drawn = {
            "curves": self._curves,
            "dots": self._dots,
            "ecdf": self._ecdf,
            "heatmap": self._heatmap,
            "scatter": self._scatter,
            "paths": self._paths,
        }[self.panel.kind]()
        layers = [*self._below(), *drawn, *self._above()]
        axes = {"x": self.x.channel("x"), "y": self.y.channel("y", is_first=is_first or self.panel.kind != "dots")}
        if self.panel.kind == "dots":
            axes["y"]["scale"]["reverse"] = True
            axes["y"]["axis"] |= {"grid": False, "ticks": False, "domain": False}
        if self.panel.kind == "heatmap":
            axes = {
                name: each | {"axis": each["axis"] | {"grid": False, "ticks": False, "domain": False}}
                for name, each in axes.items()
            }
        if self.names_across > self.width:
            axes["x"]["axis"] |= TILTED
        zoomed = [
            name for name, scaled in (("x", self.x), ("y", self.y)) if not scaled.axis.names and self.panel.kind != "heatmap"
        ]
        if self.panel.kind == "ecdf":
            zoomed = ["x"]
        if zoomed and drawn:
            select = {"type": "interval", "encodings": zoomed, "zoom": ZOOM}
            drawn[-1]["params"] = [{"name": self.zoom, "select": select, "bind": "scales"}]
        return {"width": self.width, "height": self.height, "encoding": axes, "layer": layers}

    def _layer(self, mark: Spec, rows: Rows, **channels: Any) -> Spec:
        """Return a layer whose rows have `x` and `y` and, where they can be hidden, a `key`."""
        encoding = {name: _as(of) if isinstance(of, str) else of for name, of in channels.items()}
        for name in ("x2", "y2"):
            if any(name in row for row in rows):
                encoding[name] = {"field": name}
        titles = TIPS | {"tx": self._name("x"), "ty": self._name("y")}
        told = [name for name in TIPS if any(row.get(name) for row in rows)]
        if told:
            encoding["tooltip"] = [{"field": name, "type": "nominal", "title": titles[name]} for name in told]
        hides = any("key" in row for row in rows) and any(entry.key for entry in self.legend.entries)
        transform = {"transform": [{"filter": {"not": HIDDEN}}]} if hides else {}
        return {"data": {"values": rows}, **transform, "mark": {"clip": True} | mark, "encoding": encoding}

    def _name(self, axis: str) -> str:
        """Return what a number is called that is read from an axis: by its label, or else by the panel's title."""
        label = (self.panel.x if axis == "x" else self.panel.y).label
        return (label if "      " not in label else "").strip("→← ") or self.panel.title or "Value"

    def _of(self, model: Model, /, **values: Any) -> dict[str, Any]:
        """Return a row of a model with its colour and what hides it."""
        is_listed = self.panel.kind != "dots" and "id" not in self.panel.data
        key = {"key": self.legend.key(model.method, model.variant, main=model.main)} if is_listed else {}
        return {"colour": model.colour} | key | values

    def _point(self, model: Model, row: Mapping[Any, Any], diameter: float, /, **values: Any) -> dict[str, Any]:
        """Return the mark of one seed."""
        at = {"x": self.x.place(row["x"])} | ({"y": self.y.place(row["y"])} if "y" in row and "y" not in values else {})
        told = {"model": model.label, "seed": str(row["seed"]), "tx": self.x.write(row["x"])}
        told |= {"ty": self.y.write(row["y"])} if self.panel.kind != "dots" else {}
        told |= {"folder": str(row["folder"])} if row.get("folder") else {}
        return self._of(model, **at, shape=shape_of(model.method), size=round(diameter**2, 1), **told, **values)

    def _below(self) -> Iterator[Spec]:
        """Yield what is good, and the levels."""
        across, other = ("x", "y") if self.panel.kind == "dots" else ("y", "x")
        scaled = self.x if across == "x" else self.y
        end = {"value": "height" if other == "y" else "width"}
        whole: Spec = {other: {"value": 0}, f"{other}2": end}
        if self.panel.good:
            low, high = map(scaled.place, self.panel.good)
            yield self._layer({"type": "rect", "color": GOOD}, [{across: low, f"{across}2": high}], **whole)
        levels = {
            method_name(role) if role != GUESSING else GUESSING: (at, _level_look(role)) for role, at in self.panel.levels.items()
        }
        if scaled.axis.scale == "quality":
            levels[f"p = {SIGNIFICANCE:g}"] = SIGNIFICANCE, Look(dash=DASH_DOTTED)
        rows = [
            {
                across: scaled.place(at),
                "colour": look.colour,
                "dash": list(look.dash or ()),
                "model": name,
                f"t{across}": scaled.write(at),
            }
            for name, (at, look) in levels.items()
        ]
        if rows:
            yield self._layer({"type": "rule", "strokeWidth": 1.2}, rows, color="colour", strokeDash="dash", **whole)
        if self.panel.least is not None:
            least = [{"x": self.x.place(self.panel.least), "tx": self.x.write(self.panel.least), "model": "least to be eligible"}]
            rule: Spec = {"type": "rule", "color": SOFT, "strokeDash": list(DASHED), "strokeWidth": 1}
            yield self._layer(rule, least, y={"value": 0}, y2={"value": "height"})

    def _above(self) -> Iterator[Spec]:
        """Yield single points, rings, and the note above the plot."""
        if len(self.panel.marks):
            yield from self._marks(models_of(self.panel.marks))
        rings = [{"x": self.x.place(x), "y": self.y.place(y)} for x, y in self.panel.rings]
        if rings and self.panel.kind == "heatmap":
            cells = [{"x": at["x"] - 0.5, "x2": at["x"] + 0.5, "y": at["y"] - 0.5, "y2": at["y"] + 0.5} for at in rings]
            yield self._layer({"type": "rect", "filled": False, "stroke": INK, "strokeWidth": 2}, cells)
        elif rings:
            yield self._layer({"type": "point", "size": 240, "stroke": INK, "strokeWidth": 1.5, "filled": False}, rings)
        head: Spec = {"type": "text", "baseline": "bottom", "clip": False}
        title = {"align": "left", "color": INK, "fontSize": 12}
        for text, at, look in ((self.panel.title, 0, title), (self.panel.note, "width", {"align": "right"})):
            if text:
                yield self._layer(head | look, [{}], x={"value": at}, y={"value": -8}, text={"value": text})

    def _dash(self, model: Model) -> list[int]:
        """Return the dashes of a line, which tell the variants of a method from each other and its two halves."""
        main = {of.variant: of.main for of in models_of(self._data) if of.method == model.method}
        variants = sorted(main, key=lambda variant: (not main[variant], model_order(model.method, variant)))
        place = variants.index(model.variant) + model.hollow
        return list(DASHES[place if place == 0 else 1 + (place - 1) % (len(DASHES) - 1)])

    def _curves(self) -> list[Spec]:
        """Draw a line per model over x: the mean of its seeds, and a band or bars between the bounds."""
        methods = list(dict.fromkeys(method for method, _ in self.models))
        bands, inner, lines, marks, places = [], [], [], [], []
        for number, model in enumerate(models_of(self._data)):
            strong = len(methods) <= FEW or model.method in PROMINENT
            aside = 0.05 * (methods.index(model.method) - (len(methods) - 1) / 2) if self.panel.x.names else 0.0
            of = spread(model.rows, "x", "y")
            has_marks = model.main and not self.panel.x.scale and len(of) <= MARKED
            width = (2.0 if strong else 1.2) if model.main else 1.2
            look = {"line": number, "dash": self._dash(model), "width": width}
            seeds = joined([str(seed) for seed in sorted(model.rows["seed"].unique())])
            has_band = model.main and strong and bool((of["max"] > of["min"]).any())
            told_at = {*of.index[:: math.ceil(len(of) / MARKED)]}
            for x, mean, low, high in of.itertuples():
                at = self._of(model, x=self.x.place(x + aside), y=self.y.place(mean))
                lines.append(at | look)
                if has_band:
                    bands.append(at | {"line": number, "y": self.y.place(low), "y2": self.y.place(high)})
                if x in told_at:
                    told = {"model": model.label, "seed": seeds, "tx": self.x.write(x), "ty": _between(self.y, mean, low, high)}
                    places.append((x + aside, mean))
                    marks.append(at | told | {"shape": shape_of(model.method), "size": 49, "opacity": float(has_marks)})
            if "x_low" in model.rows:
                for x, low, high in model.rows.groupby("x")[["x_low", "x_high"]].mean().itertuples():
                    at = self._of(model, x=self.x.place(x), line=number)
                    inner.append(at | {"y": self.y.place(low), "y2": self.y.place(high)})
        marks = self._nested(marks, places)
        line = {"detail": _as("line"), "color": "colour"}
        kind: Spec = (
            {"type": "rule", "strokeWidth": 5, "opacity": 0.35} if self.panel.x.names else {"type": "area", "opacity": 0.15}
        )
        return [
            *([self._layer(kind, bands, **line)] if bands else []),
            *([self._layer({"type": "area", "opacity": 0.25}, inner, **line)] if inner else []),
            self._layer({"type": "line"}, lines, **line, strokeDash="dash", strokeWidth="width"),
            self._layer({"type": "point", "filled": True}, marks, color="colour", shape="shape", size="size", opacity="opacity"),
        ]

    def _dots(self) -> list[Spec]:
        """Draw a line per model, its name at the left: a mark at the mean, a bar between the bounds, small marks for seeds."""
        bars, seeds, means = [], [], []
        for model in models_of(self._data):
            y = self.models.index((model.method, model.variant)) + (0.13 if model.hollow else -0.13) * ("open" in self._data)
            low, mean, high = spread(model.rows.assign(all=0), "all", "x")[["min", "mean", "max"]].iloc[0]
            several = model.rows["seed"].nunique() > 1
            bars.append(self._of(model, x=self.x.place(low), x2=self.x.place(high), y=y))
            size, records = size_of(model.method), model.rows.to_dict("records")
            if several:
                seeds += [self._point(model, row, 0.45 * size, y=y + 0.28) for row in records]
            face = {"fill": PAPER if model.hollow else model.colour, "edge": model.colour if model.hollow else PAPER}
            one: dict[str, Any] = {"x": mean, "seed": f"mean of {len(records)}" if several else str(records[0]["seed"])}
            one |= {} if several else {"folder": records[0].get("folder")}
            means.append(self._point(model, one, 0.85 * size, y=y, **face) | {"tx": _between(self.x, mean, low, high)})
        return [
            self._layer({"type": "rule", "strokeWidth": 6, "opacity": 0.35}, bars, color="colour"),
            self._layer({"type": "point", "filled": True, "opacity": 0.55}, seeds, color="colour", shape="shape", size="size"),
            self._layer({"type": "point", "strokeWidth": 1}, means, fill="fill", stroke="edge", shape="shape", size="size"),
        ]

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The decades that an axis of distributions holds; a collapsed model's values may lie far away from the usual ones."""
        usual = self._data[self._data["method"].isin(ROLES)]
        low, high = np.quantile((usual if len(usual) else self._data)["x"].to_numpy(dtype=float), [0.002, 0.998])
        return float(low) - 0.25, float(high) + 0.25

    def _ecdf(self) -> list[Spec]:
        """Draw which share of the x of each model is at most a value: Retrain's as an area, Original's dotted."""
        left, right = self._ends
        grid = np.linspace(left, right, 121)
        areas, lines, points = [], [], []
        for number, model in enumerate(models_of(self._data)):
            sample = np.sort(model.rows["x"].to_numpy(dtype=float))
            below = np.searchsorted(sample, grid, side="right") / max(len(sample), 1)
            dotted = model.method in ROLES and self.panel.title != method_name(model.method) and model.method != RETRAIN
            look = {
                "line": number,
                "dash": list(DOTTED) if dotted else self._dash(model),
                "width": 1.0 if model.method == RETRAIN else 1.4 if dotted else 2.0 if model.main else 1.0,
            }
            for place, (at, share) in enumerate(zip(10.0**grid, below.tolist(), strict=True)):
                row = self._of(model, x=self.x.place(at), y=self.y.place(share))
                areas += [row] if model.method == RETRAIN else []
                lines.append(row | look)
                if place % 6 == 0:
                    points.append(row | {"model": model.label, "tx": self.x.write(at), "ty": f"{share:.0%}"})
        return [
            *([self._layer({"type": "area", "color": AREA, "interpolate": "step-after"}, areas)] if areas else []),
            self._layer(
                {"type": "line", "interpolate": "step-after"},
                lines,
                detail=_as("line"),
                color="colour",
                strokeDash="dash",
                strokeWidth="width",
            ),
            self._layer({"type": "point", "size": 90, "opacity": 0}, points),
        ]

    def _heatmap(self) -> list[Spec]:
        """Draw a cell per row: x across, y upwards, both places of categories."""
        shade = Scaled(Axis(scale=self.panel.shade), (), QUALITY_TICKS[-1])
        cells = [
            {
                **{"x": row["x"] - 0.5, "x2": row["x"] + 0.5, "y": row["y"] - 0.5, "y2": row["y"] + 0.5},
                **{"shade": shade.place(row["value"]), "tx": self.x.write(row["x"]), "ty": self.y.write(row["y"])},
                **{"cx": row["x"], "cy": row["y"], "text": self.panel.write(row["value"])},
            }
            for row in self._data.to_dict("records")
            if math.isfinite(row["value"])
        ]
        colour: Spec = {"field": "shade", "type": "quantitative", "scale": {"range": list(SHADES), "zero": False}, "legend": None}
        centres = [{"x": cell["cx"], "y": cell["cy"], "text": cell["text"]} for cell in cells]
        return [
            self._layer({"type": "rect", "stroke": PAPER}, cells, color=colour),
            self._layer({"type": "text", "color": INK, "clip": False}, centres, text={"field": "text", "type": "nominal"}),
        ]

    def _scatter(self) -> list[Spec]:
        """Draw a large mark per model at its means, with bars between the bounds, and a small one per seed."""
        if "id" not in self._data:
            return self._marks(models_of(self._data))
        points = [
            self._point(model, row, 5) | {"seed": "", "item": str(row["id"])}
            for model in models_of(self._data)
            for row in model.rows.to_dict("records")
        ]
        return [self._layer({"type": "point", "filled": True, "opacity": 0.5}, points, color="colour", size="size")]

    def _marks(self, models: Sequence[Model]) -> list[Spec]:
        bars, seeds, means, places = [], [], [], []
        for model in models:
            rows, records = model.rows, model.rows.to_dict("records")
            x, y = float(rows["x"].mean()), float(rows["y"].mean())
            several = rows["seed"].nunique() > 1
            if several:
                seeds += [self._point(model, row, 0.5 * size_of(model.method)) for row in records]
            for low, high, other in (("low", "high", "x"), ("x_low", "x_high", "y")):
                if low in rows:
                    ends = rows[[low, high]].mean().tolist()
                    bar = (
                        {"x": x, "x2": x, "y": ends[0], "y2": ends[1]}
                        if other == "x"
                        else {"x": ends[0], "x2": ends[1], "y": y, "y2": y}
                    )
                    bars.append(self._of(model, **{k: (self.x if k[0] == "x" else self.y).place(v) for k, v in bar.items()}))
            filled = model.main and not model.hollow
            face = {"fill": model.colour if filled else PAPER, "edge": PAPER if filled else model.colour}
            one: dict[str, Any] = {"x": x, "y": y, "seed": f"mean of {len(records)}" if several else str(records[0]["seed"])}
            one |= {} if several else {"folder": records[0].get("folder")}
            means.append(self._point(model, one, size_of(model.method) * (1.0 if filled else 0.8), **face))
            places.append((x, y))
        means = self._nested(means, places)
        return [
            *([self._layer({"type": "rule", "strokeWidth": 3, "opacity": 0.35}, bars, color="colour")] if bars else []),
            *(
                [
                    self._layer(
                        {"type": "point", "filled": True, "opacity": 0.5}, seeds, color="colour", shape="shape", size="size"
                    )
                ]
                if seeds
                else []
            ),
            self._layer({"type": "point", "strokeWidth": 1.2}, means, fill="fill", stroke="edge", shape="shape", size="size"),
        ]

    def _nested(self, marks: Rows, places: Sequence[tuple[float, float]]) -> Rows:
        """Return marks so large that none is hidden by another method's."""
        at = [(self.x.share(x) * self.width, self.y.share(y) * self.height) for x, y in places]
        sizes = nested_sizes(at, [math.sqrt(mark["size"]) for mark in marks], [mark["colour"] for mark in marks])
        return [mark | {"size": round(size**2, 1)} for mark, size in zip(marks, sizes, strict=True)]

    def _paths(self) -> list[Spec]:
        """Draw a line per seed through the methods at x, and a dark one through their means."""
        by_seed = self._data.pivot_table(index="seed", columns="x", values="y").dropna()
        looks = [(f"seed {seed}", values, SOFT, 0.8) for seed, values in zip(by_seed.index, by_seed.to_numpy(), strict=True)]
        looks.append((f"mean of {counted(len(by_seed), 'seed')}", by_seed.mean().to_numpy(), INK, 2.0))
        lines = [
            {"line": name, "colour": colour, "width": width, "x": float(x), "y": self.y.place(value)}
            for name, values, colour, width in looks
            for x, value in zip(by_seed.columns, values, strict=True)
        ]
        points = [
            self._point(model, row, 0.6 * size_of(model.method)) | {"tx": ""}
            for model in models_of(self._data)
            for row in model.rows.to_dict("records")
        ]
        return [
            self._layer({"type": "line", "opacity": 0.8}, lines, detail=_as("line"), color="colour", strokeWidth="width"),
            self._layer({"type": "point", "filled": True}, points, color="colour", shape="shape", size="size"),
        ]
