"""The figures of the report: a grid of panels, each of one kind, drawn from tidy tables."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from palimpsest.names import RETRAIN
from palimpsest.report.names import PROMINENT, REFERENCES, method_name, model_label, model_order
from palimpsest.report.rows import root_of_decades
from palimpsest.report.style import DASHED, DOTTED, GOOD, INK, SOFT, colour_of, marker_of, size_of
from palimpsest.report.words import QUALITY, SIGNED, SIGNIFICANCE, typeset

Kind = Literal["curves", "dots", "ecdf", "heatmap", "scatter", "paths"]
Scale = Literal["", "quality", "root", "log", "symlog"]
# Inches of a figure, and of one with a single panel across.
WIDTH, NARROW = 10.0, 7.2
# P-values below the last tick are drawn at it: they say the same, and some are 0 by underflow.
QUALITY_TICKS = (1.0, 0.5, 0.1, 0.01, 1e-3, 1e-5, 1e-10, 1e-20)
RATIO_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
ROOT_TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100, 200, 500)
# The level that guessing reaches.
GUESSING = "chance"
# Axes that count have whole ticks.
COUNTS = ("Epoch", "Step")
# Of more methods only the prominent ones have bands and broad lines.
FEW = 4
SHADES = LinearSegmentedColormap.from_list("shades", ["#fafbfd", "#66a3d1"])
Look = dict[str, Any]
RING: Look = {"linestyle": "", "marker": "o", "markersize": 12.0, "color": "none", "markeredgecolor": INK}


@dataclass(frozen=True)
class Axis:
    """An axis: its label and scale; `names` are categories at 0, 1, 2, ..., `zero` lets a linear axis begin at 0."""

    label: str = ""
    scale: Scale = ""
    names: Sequence[str] = ()
    zero: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel: `data` has the columns `method`, `variant`, `seed`, `x` and `y`, and by kind some more.

    These are `low` and `high` (bounds of y; of x for dots), `x_low` and `x_high`, `main` (false: a
    variant that does not represent its method), `open` (a hollow mark, a dashed line), `value` (the colour of a cell).
    """

    kind: Kind
    data: pd.DataFrame
    title: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    note: str = ""
    levels: Mapping[str, float] = field(default_factory=dict)
    """What references, or guessing, reach, by name: a line across."""
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
    height: float = 2.3
    """Inches of a line of panels."""
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


def draw(grid: Grid) -> Figure:
    """Draw a grid with one legend; one without panels says why."""
    panels = [panel for _, row in grid.rows for panel in row]
    if not panels:
        figure = Figure(figsize=(6.4, 0.9))
        figure.text(0.5, 0.5, grid.empty, ha="center", va="center", color=SOFT)
        return figure
    lines = [_lines(row, grid) for _, row in grid.rows]
    across = max(len(line) for of_row in lines for line, _ in of_row)
    width, columns = (WIDTH, 6) if across > 1 else (NARROW, 4)
    titled = len(grid.rows) > 1
    inches = [sum(height for _, height in of_row) + 0.3 * titled for of_row in lines]
    handles = _handles(panels, grid.labels)
    legend = 0.26 * math.ceil(len(handles) / columns) + 0.15 if handles else 0.0
    figure = Figure(figsize=(width, sum(inches) + legend))
    lowest = lowest_tick(quality for panel in panels for quality in panel.qualities)
    for part, (title, _), of_row in zip(_stacked(figure, inches), grid.rows, lines, strict=True):
        if titled and title:
            part.suptitle(title, x=0.01, ha="left", fontsize=9.5, color=INK)
        for line, (row, _) in zip(_stacked(part, [height for _, height in of_row]), of_row, strict=True):
            _draw_line(line, row, across, lowest)
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), columns))
    return figure


def _lines(row: Sequence[Panel], grid: Grid) -> list[tuple[Sequence[Panel], float]]:
    """Cut a row into lines of panels, each with its height; a panel of dots has room for its models."""
    found = []
    for start in range(0, len(row), grid.wide):
        line = row[start : start + grid.wide]
        models = max((len(_models(panel.data)) for panel in line if panel.kind == "dots"), default=0)
        cells = max((len(panel.y.names) for panel in line if panel.kind == "heatmap"), default=0)
        dots = all(panel.kind == "dots" for panel in line)
        found.append((line, max(0.85 + 0.25 * models, 1.0 + 0.34 * cells, 0.0 if dots or cells else grid.height)))
    return found


def _stacked(figure: Figure | SubFigure, heights: Sequence[float]) -> list[SubFigure]:
    return list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])


def _draw_line(part: SubFigure, row: Sequence[Panel], wide: int, shared: float) -> None:
    for place, panel in enumerate(row):
        axes = part.add_subplot(1, wide, place + 1)
        _DRAWN[panel.kind](axes, panel)
        # Lines seed by seed are near each other, on a scale of their own.
        lowest = lowest_tick(panel.qualities) if panel.kind == "paths" else shared
        axes.set_title(panel.title, loc="left", color=INK, fontsize=9)
        axes.set_title(panel.note, loc="right", color=SOFT, fontsize=8)
        _draw_levels(axes, panel, lowest)
        if len(panel.marks):
            _scatter(axes, Panel("scatter", panel.marks))
        for x, y in panel.rings:
            if panel.kind == "heatmap":
                axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.8, clip_on=False))
            else:
                axes.plot([x], [y], markeredgewidth=1.4, clip_on=False, zorder=6, **RING)
        _set_axis(axes, "x", panel.x, lowest)
        if panel.kind != "dots":
            _set_axis(axes, "y", panel.y, lowest)
        elif place:
            axes.tick_params(labelleft=False)


def _models(data: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = {(str(method), str(variant)) for method, variant in zip(data["method"], data["variant"], strict=True)}
    return sorted(pairs, key=lambda model: model_order(*model))


def _by_model(data: pd.DataFrame) -> Iterator[tuple[tuple[str, str, bool, bool], pd.DataFrame]]:
    """Yield every model with its rows and whether it is main and open; the prominent last, on top."""
    data = data.assign(main=data.get("main", True), open=data.get("open", False))
    models = data.groupby(["method", "variant", "main", "open"], sort=False)
    groups = [((str(m), str(v), bool(main), bool(hollow)), of) for (m, v, main, hollow), of in models]
    return iter(sorted(groups, key=lambda item: (item[0][2], item[0][0] in PROMINENT, item[0][3])))


def _spread(rows: pd.DataFrame, key: str, value: str) -> pd.DataFrame:
    """Return mean, low and high of a column by another: given bounds, or else the range over seeds."""
    found = rows.groupby(key)[value].agg(["mean", "min", "max"])
    for ours, given in (("min", "low"), ("max", "high")):
        if given in rows:
            found[ours] = rows.groupby(key)[given].mean().fillna(found[ours])
    return found


def _curves(axes: Axes, panel: Panel) -> None:
    """Draw a line per model over x: the mean of its seeds, and a band or bars between the bounds."""
    methods = list(dict.fromkeys(method for method, _ in _models(panel.data)))
    for (method, _, main, hollow), rows in _by_model(panel.data):
        strong = len(methods) <= FEW or method in PROMINENT
        aside = 0.05 * (methods.index(method) - (len(methods) - 1) / 2) if panel.x.names else 0.0
        of = _spread(rows, "x", "y")
        x = of.index.to_numpy(dtype=float) + aside
        look: Look = {"color": colour_of(method), "clip_on": False}
        mark = marker_of(method) if main and not panel.x.scale and len(of) <= 30 else ""
        width = (1.7 if strong else 1.0) if main else 0.8
        style: Any = DASHED if hollow or not main else "-"
        axes.plot(
            x, of["mean"], linestyle=style, linewidth=width, marker=mark, markersize=size_of(method) * 0.6, zorder=3, **look
        )
        if main and strong and (of["max"] > of["min"]).any():
            if panel.x.names:
                axes.vlines(x, of["min"], of["max"], linewidth=4.0, alpha=0.35, zorder=2, **look)
            else:
                axes.fill_between(x, of["min"], of["max"], alpha=0.15, linewidth=0, **look)
        if "x_low" in rows:
            inner = rows.groupby("x")[["x_low", "x_high"]].mean()
            axes.fill_between(x, inner["x_low"], inner["x_high"], alpha=0.25, linewidth=0, **look)


def _dots(axes: Axes, panel: Panel) -> None:
    """Draw a line per model, its name at the left: a large mark at the mean, a bar between the bounds, small marks for seeds."""
    models = _models(panel.data)
    for (method, variant, _, hollow), rows in _by_model(panel.data):
        y = models.index((method, variant)) + (0.13 if hollow else -0.13) * ("open" in panel.data)
        _dot(axes, method, y, rows, hollow)
    axes.set_yticks(range(len(models)), [model_label(*model) for model in models])
    axes.set_ylim(len(models) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _dot(axes: Axes, method: str, y: float, rows: pd.DataFrame, hollow: bool) -> None:
    (low, mean, high) = _spread(rows.assign(all=0), "all", "x")[["min", "mean", "max"]].iloc[0]
    look: Look = {"color": colour_of(method), "clip_on": False}
    axes.plot([low, high], [y, y], linewidth=5.0, alpha=0.35, solid_capstyle="butt", zorder=3, **look)
    if rows["seed"].nunique() > 1:
        small = size_of(method) * 0.35
        axes.plot(rows["x"], [y + 0.28] * len(rows), linestyle="", marker=marker_of(method), alpha=0.5, markersize=small, **look)
    face, edge = ("white", colour_of(method)) if hollow else (colour_of(method), "white")
    edges: Look = {"markerfacecolor": face, "markeredgecolor": edge, "markeredgewidth": 1.2 if hollow else 0.7}
    axes.plot([mean], [y], linestyle="", marker=marker_of(method), markersize=size_of(method) * 0.75, zorder=4, **edges, **look)


def _ecdf(axes: Axes, panel: Panel) -> None:
    """Draw which share of the x of each model (log10) is at most a value: Retrain's as an area, other references dotted."""
    samples = {model: rows["x"].to_numpy(dtype=float) for model, rows in _by_model(panel.data)}
    usual = [sample for (method, *_), sample in samples.items() if method in REFERENCES]
    # A collapsed model's values may lie decades away from the usual ones.
    left, right = np.quantile(np.concatenate(usual or list(samples.values())), [0.002, 0.998]) + np.array([-0.25, 0.25])
    grid = np.linspace(left, right, 181)
    for (method, _, main, _), sample in samples.items():
        below, colour = np.searchsorted(np.sort(sample), grid, side="right") / max(len(sample), 1), colour_of(method)
        if method == RETRAIN:
            axes.fill_between(grid, below, color="#e3e3e3", linewidth=0)
            axes.plot(grid, below, color=colour, linewidth=0.8)
        else:
            dotted = method in REFERENCES and panel.title != method_name(method)
            width = 1.2 if dotted else 1.8 if main else 0.7
            axes.plot(grid, below, color=colour, linestyle=DOTTED if dotted else "-", linewidth=width, alpha=1.0 if main else 0.5)
    ticks = [value for value in RATIO_TICKS if left <= math.log10(value) <= right]
    axes.set_xticks([math.log10(value) for value in ticks], [f"{value:g}" for value in ticks])
    axes.set_xlim(left, right)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def _heatmap(axes: Axes, panel: Panel) -> None:
    """Draw a cell per row: x across, y upwards, both places of categories."""
    cells = np.full((len(panel.y.names), len(panel.x.names)), np.nan)
    forward = quality_scale(QUALITY_TICKS[-1])[0] if panel.shade == "quality" else np.asarray
    for x, y, value in zip(panel.data["x"], panel.data["y"], panel.data["value"], strict=True):
        if math.isfinite(value):
            cells[int(y), int(x)] = float(forward(np.array([value]))[0])
            axes.text(x, y, panel.write(value), ha="center", va="center", fontsize=7.5, color=INK)
    axes.imshow(np.ma.masked_invalid(cells), cmap=SHADES, origin="lower", aspect="auto")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _scatter(axes: Axes, panel: Panel) -> None:
    """Draw a large mark per model at its means, with bars between the bounds, and a small one per seed."""
    for (method, _, main, hollow), rows in _by_model(panel.data):
        colour, marker, size = colour_of(method), marker_of(method), size_of(method)
        if "id" in rows:
            axes.plot(rows["x"], rows["y"], linestyle="", marker="o", markersize=3.5, markeredgewidth=0, color=colour, alpha=0.45)
            continue
        if rows["seed"].nunique() > 1:
            axes.plot(rows["x"], rows["y"], linestyle="", marker=marker, color=colour, alpha=0.45, markersize=size * 0.45)
        x, y = rows["x"].mean(), rows["y"].mean()
        bar: Look = {"linewidth": 2.5, "alpha": 0.35, "color": colour, "zorder": 2}
        if "low" in rows:
            axes.plot([x, x], rows[["low", "high"]].mean(), **bar)
        if "x_low" in rows:
            axes.plot(rows[["x_low", "x_high"]].mean(), [y, y], **bar)
        filled = main and not hollow
        edges: Look = {"color": colour if filled else "white", "markeredgecolor": "white" if filled else colour}
        scale = 1.0 if filled else 0.7
        axes.plot([x], [y], linestyle="", marker=marker, markersize=size * scale, clip_on=False, zorder=3 + filled, **edges)


def _paths(axes: Axes, panel: Panel) -> None:
    """Draw a line per seed through the methods at x, and a black one through their means."""
    by_seed = panel.data.pivot_table(index="seed", columns="x", values="y").dropna()
    lines = [*((values, SOFT, 0.8) for values in by_seed.to_numpy()), (by_seed.mean().to_numpy(), INK, 1.8)]
    for values, colour, width in lines:
        axes.plot(by_seed.columns.to_numpy(), values, color=colour, linewidth=width, alpha=0.8, clip_on=False, zorder=2)
    for (method, *_), rows in _by_model(panel.data):
        look: Look = {"marker": marker_of(method), "color": colour_of(method), "markersize": size_of(method) * 0.5}
        axes.plot(rows["x"], rows["y"], linestyle="", clip_on=False, zorder=3, **look)


_DRAWN: Mapping[Kind, Callable[[Axes, Panel], None]] = {
    "curves": _curves,
    "dots": _dots,
    "ecdf": _ecdf,
    "heatmap": _heatmap,
    "scatter": _scatter,
    "paths": _paths,
}


def _level_look(role: str) -> Look:
    colour = SOFT if role == GUESSING else colour_of(role)
    return {"color": colour, "linestyle": DOTTED if role.startswith("original") else DASHED, "linewidth": 1.1}


# Apart from Retrain's level, which is dashed.
SIGNIFICANCE_LOOK: Look = {"color": SOFT, "linewidth": 0.9, "linestyle": (0, (7, 2, 1, 2))}


def _draw_levels(axes: Axes, panel: Panel, lowest: float) -> None:
    across, span = (axes.axvline, axes.axvspan) if panel.kind == "dots" else (axes.axhline, axes.axhspan)
    for role, level in panel.levels.items():
        across(level, zorder=1, **_level_look(role))
    if panel.least is not None:
        axes.axvline(panel.least, color=SOFT, linewidth=0.9, linestyle=DASHED, zorder=1)
    if panel.good:
        span(*panel.good, color=GOOD, linewidth=0, zorder=0)
    if (panel.x if panel.kind == "dots" else panel.y).scale == "quality":
        across(max(SIGNIFICANCE, lowest), zorder=1, **SIGNIFICANCE_LOOK)


def _handles(panels: Sequence[Panel], labels: Mapping[str, Look]) -> list[Any]:
    """Return the legend: models, references, levels and marks that the panels have, then further labels."""
    named = [panel for panel in panels if panel.kind in ("curves", "scatter") and "id" not in panel.data]
    methods = {method for panel in named for method, _ in _models(panel.data)}
    distributions = [method for panel in panels if panel.kind == "ecdf" for method, _ in _models(panel.data)]
    # A panel that has its method for a title needs no entry.
    methods |= {m for panel in panels if panel.kind == "ecdf" for m, _ in _models(panel.data) if panel.title != method_name(m)}
    handles: list[Any] = []
    for method in sorted(methods - ({*REFERENCES} & {*distributions}), key=model_order):
        has_line = any(panel.kind != "scatter" and method in set(panel.data["method"]) for panel in panels)
        look: Look = {"linestyle": "-" if has_line else "", "marker": marker_of(method), "markersize": size_of(method) * 0.75}
        handles.append(Line2D([], [], color=colour_of(method), label=method_name(method), **look))
    if RETRAIN in distributions:
        handles.append(Patch(facecolor="#e3e3e3", edgecolor=colour_of(RETRAIN), label=method_name(RETRAIN)))
    lines = {*distributions} & {*REFERENCES} - {RETRAIN} | {role for panel in panels for role in panel.levels}
    shown = {handle.get_label() for handle in handles}
    for role in sorted(lines, key=model_order):
        name = method_name(role)
        handles.append(Line2D([], [], label=f"{name}, level" if name in shown else name, **_level_look(role)))
    if any(axis.scale == "quality" for panel in panels for axis in (panel.x, panel.y)):
        handles.append(Line2D([], [], label=f"p = {SIGNIFICANCE:g}", **SIGNIFICANCE_LOOK))
    if any("main" in panel.data and not panel.data["main"].astype(bool).all() for panel in panels):
        handles.append(Line2D([], [], linestyle="--", marker="o", color=SOFT, markerfacecolor="white", label="other variants"))
    single = [panel for panel in panels if panel.kind in ("dots", "scatter") and "id" not in panel.data]
    if any(panel.data.groupby(["method", "variant"])["seed"].nunique().gt(1).any() for panel in single):
        handles.append(Line2D([], [], linestyle="", marker="o", color=SOFT, alpha=0.45, markersize=3.5, label="single seeds"))
    for text, look in labels.items():
        is_patch = "facecolor" in look
        handles.append(Patch(label=text, **look) if is_patch else Line2D([], [], label=text, **look))
    return handles


def lowest_tick(qualities: Iterable[float]) -> float:
    """Return the last tick of an axis that holds all these forget qualities."""
    least = min(qualities, default=1.0)
    return next((tick for tick in QUALITY_TICKS[3:] if tick <= least), QUALITY_TICKS[-1])


Transform = Callable[[Any], Any]


def quality_scale(lowest: float) -> tuple[Transform, Transform]:
    """Return the scale of p-values and its inverse: the root of the decades, on which 0.5 and 0.99 part as 1e-5 and 1e-20 do."""
    return (
        partial(root_of_decades, lowest=lowest),
        lambda heights: 10.0 ** -np.square(np.minimum(heights, 0.0)),
    )


def _set_axis(axes: Axes, name: Literal["x", "y"], axis: Axis, lowest: float) -> None:
    """Give an axis its label, scale and ticks."""
    of, limits, rescale = getattr(axes, f"{name}axis"), getattr(axes, f"set_{name}lim"), getattr(axes, f"set_{name}scale")
    if axis.label:
        of.set_label_text(axis.label)
    if axis.names:
        turned: Look = {"rotation": 30, "ha": "right"} if name == "x" and sum(map(len, axis.names)) > 45 else {}
        of.set_ticks(range(len(axis.names)), list(axis.names), **turned)
        limits(-0.5, len(axis.names) - 0.5)
    elif axis.scale == "quality":
        ticks = [tick for tick in QUALITY_TICKS if tick >= lowest]
        labels = [typeset(f"{tick:g}" if tick >= 0.001 else f"{tick:.0e}") for tick in ticks]
        if lowest == QUALITY_TICKS[-1]:
            labels[-1] = f"≤{labels[-1]}"
        rescale("function", functions=quality_scale(lowest))
        # Of a narrow axis the ticks of the lower decades would touch.
        of.set_ticks(ticks, [label if i % 2 == 0 or name == "y" else "" for i, label in enumerate(labels)])
        limits(lowest, 1.0)
    elif axis.scale == "root":
        end = max(of.get_data_interval()[1] * 1.05, ROOT_TICKS[1])
        rescale("function", functions=(lambda values: np.sqrt(np.maximum(values, 0)), np.square))
        ticks = _root_ticks(end)
        of.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        limits(0, end)
    elif axis.scale == "log":
        rescale("log")
    elif axis.scale == "symlog":
        rescale("symlog", linthresh=0.5)
        of.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        limits(0)
    else:
        _set_linear(of, limits, axis)


def _root_ticks(end: float) -> list[float]:
    """Return the ticks up to an end that are not too near to the one before."""
    kept = [0.0]
    for tick in ROOT_TICKS:
        if tick <= end and math.sqrt(tick) - math.sqrt(kept[-1]) >= 0.07 * math.sqrt(end):
            kept.append(tick)
    return kept


def _set_linear(of: Any, limits: Callable[..., Any], axis: Axis) -> None:
    low, high = of.get_data_interval()
    if axis.label.startswith(COUNTS):
        of.set_major_locator(MaxNLocator(6, integer=True))
    if axis.zero:
        limits(0, 1.06 * high if high > 0 else 1.0)
    elif high - low < 0.01:
        # Of values that are all alike the library would show the rounding.
        limits(low - 0.01, high + 0.01)


def stacked(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return tables below each other; empty of none."""
    found = [part for part in parts if len(part)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()
