"""The figures of a study, drawn from its tables."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from palimpsest.report.drawing import (
    dotted_handle,
    draw_ratio_references,
    draw_significance,
    empty_figure,
    log_ratios,
    lowest_tick,
    method_handle,
    panel_rows,
    quality_axis,
    quality_height,
    ratio_grid,
    retrain_patch,
    share_below,
    significance_handle,
)
from palimpsest.report.names import method_name, model_order
from palimpsest.report.rows import main_models
from palimpsest.report.style import COLOURS, DASHED, DOTTED, GOOD, INK, SOFT, colour_of, marker_of, size_of
from palimpsest.report.tables import EPOCH, RELEARNED, Cell, Row, Table
from palimpsest.report.words import QUALITY, UTILITY, format_quality

# Where more than a few methods are drawn together, these stand out.
PROMINENT, FEW = ("npo", "simnpo"), 4
# Panels beside each other in the figure of truth ratios.
WIDE = 4
# How far apart the lines of relearning stand, in epochs.
ASIDE = 0.025


def quality_against_utility(tables: Sequence[Table]) -> Figure:
    """Draw forget quality against model utility: a point a seed, a large one for the mean; a panel a table."""
    tables = [table for table in tables if {QUALITY, UTILITY} <= {column.key for column in table.columns}]
    if not tables:
        return empty_figure("No model here has both a forget quality and a model utility.")
    columns = min(len(tables), 2)
    figure = Figure(figsize=(2.0 + 4.4 * columns, 3.9 * math.ceil(len(tables) / columns)))
    lowest = _lowest(tables)
    for index, table in enumerate(tables):
        axes = figure.add_subplot(math.ceil(len(tables) / columns), columns, index + 1)
        axes.set_title(table.title, loc="left", color=INK, pad=10)
        floor = table.value("retrain", "forget_quality_floor")
        if floor is not None:
            axes.axhspan(quality_height(floor, lowest), 0, color=GOOD, linewidth=0, zorder=0)
        draw_significance(axes, lowest)
        for row in reversed(table.rows):
            if {QUALITY, UTILITY} <= row.cells.keys():
                _draw_model(axes, row, table.stands(row), lowest)
        axes.set_xlabel("Model utility")
        axes.set_ylabel("Forget quality")
        utilities = [row.cells[UTILITY].mean for row in table.rows if UTILITY in row.cells]
        axes.set_xlim(-0.02, max(0.4, *utilities) + 0.05)
        quality_axis(axes, lowest)
    handles: list[Any] = [method_handle(method, line=False) for method in _methods(tables)]
    if _has_variants(tables):
        handles.append(Line2D([], [], linestyle="", marker="o", color=SOFT, markerfacecolor="white", label="other variants"))
    if any(row.seeds > 1 for table in tables for row in table.rows):
        handles.append(Line2D([], [], linestyle="", marker="o", color=SOFT, alpha=0.45, markersize=3.5, label="single seeds"))
    handles.append(significance_handle())
    if any(table.value("retrain", "forget_quality_floor") is not None for table in tables):
        handles.append(Patch(color=GOOD, label="Retrain against Retrain"))
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def truth_ratio_distributions(tables: Sequence[Table], truth_ratios: pd.DataFrame) -> Figure:
    """Draw the cumulative distribution of the forget set's truth ratios: a panel a method, Retrain's behind each."""
    ratios = truth_ratios[(truth_ratios["set"] == "forget") & truth_ratios["truth_ratio"].notna()]
    panels = [(table, samples) for table in tables if len(samples := _samples(ratios, table)) > 1]
    if not panels:
        return empty_figure("There are no truth ratios of unlearned models on the forget set here.")
    heights = [math.ceil(len({method for method, _ in samples if method != "retrain"}) / WIDE) for _, samples in panels]
    figure = Figure(figsize=(10.0, 0.6 + sum(0.35 + 1.9 * height for height in heights)))
    parts = panel_rows(figure, [table.title for table, _ in panels], [0.2 + height for height in heights])
    for part, height, (table, samples) in zip(parts, heights, panels, strict=True):
        _draw_distributions(part, table, samples, height)
    handles: list[Any] = [
        retrain_patch(),
        dotted_handle("original"),
        Line2D([], [], color=COLOURS["simnpo"], linewidth=1.8, label="method of the panel"),
    ]
    if _has_variants(tables):
        handles.append(Line2D([], [], color=COLOURS["simnpo"], linewidth=0.7, alpha=0.5, label="its other variants"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def relearning_curves(tables: Sequence[Table], table1: Sequence[Table]) -> Figure:
    """Draw forget quality and forget probability against the epoch of relearning: a column an attack, a line a model."""
    if not tables:
        return empty_figure("No relearning attack was run in this study.")
    blocks = list({table.title: [other for other in tables if other.title == table.title] for table in tables}.values())
    wide = max(len(of_one) for of_one in blocks)
    figure = Figure(figsize=(2.2 + 3.4 * wide, 4.6 * len(blocks)))
    lowest = _lowest(tables)
    for line, of_one in enumerate(blocks):
        for place, table in enumerate(of_one):
            for offset, metric in enumerate(RELEARNED):
                axes = figure.add_subplot(2 * len(blocks), wide, (2 * line + offset) * wide + place + 1)
                _draw_curves(axes, table, metric, lowest)
                if offset == 0:
                    axes.set_title("\n".join([table.title] * (len(blocks) > 1) + [table.attack]), loc="left", color=INK, pad=10)
                    quality_axis(axes, lowest)
                else:
                    _draw_references(axes, table, table1)
                    axes.set_xlabel("Epochs of relearning")
                    axes.set_ylim(0, 1)
                if place == 0:
                    axes.set_ylabel(RELEARNED[metric])
    handles = [method_handle(method, scale=0.8) for method in _methods(tables)]
    handles.append(Line2D([], [], color=COLOURS["retrain"], linestyle=DASHED, linewidth=0.9, label="Retrain (below)"))
    handles.append(dotted_handle("original", "Original (below)"))
    handles.append(significance_handle(" (above)"))
    if _has_variants(tables):
        handles.append(Line2D([], [], color=SOFT, linestyle="--", linewidth=0.9, label="other variants"))
    figure.align_ylabels()
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _draw_model(axes: Axes, row: Row, stands: bool, lowest: float) -> None:
    utility, quality = row.cells[UTILITY], row.cells[QUALITY]
    colour, marker, size = colour_of(row.method), marker_of(row.method), size_of(row.method)
    seeds = sorted(utility.values.keys() & quality.values.keys())
    if len(seeds) > 1:
        x, y = [utility.values[seed] for seed in seeds], [quality_height(quality.values[seed], lowest) for seed in seeds]
        axes.plot(x, y, linestyle="", marker=marker, color=colour, alpha=0.45, markersize=size * 0.5, clip_on=False)
    axes.plot(
        [utility.mean],
        [quality_height(quality.mean, lowest)],
        linestyle="",
        marker=marker,
        color=colour if stands else "white",
        markeredgecolor="white" if stands else colour,
        markeredgewidth=0.7 if stands else 1.2,
        markersize=size if stands else size * 0.75,
        clip_on=False,
        zorder=4 if stands else 3,
    )


def _samples(ratios: pd.DataFrame, table: Table) -> dict[tuple[str, str], np.ndarray]:
    """Return log10 truth ratios by model, all seeds together; none without a Retrain to compare with."""
    rows = main_models(ratios, table.block)
    rows = rows[rows["suite"] == table.suite]
    samples = {(str(m), str(v)): log_ratios(of["truth_ratio"]) for (m, v), of in rows.groupby(["method", "variant"])}
    return dict(sorted(samples.items(), key=lambda item: model_order(*item[0]))) if ("retrain", "") in samples else {}


def _draw_distributions(part: SubFigure, table: Table, samples: dict[tuple[str, str], np.ndarray], height: int) -> None:
    retrain, original = samples["retrain", ""], samples.get(("original", ""))
    grid = ratio_grid(np.concatenate([retrain] if original is None else [retrain, original]))
    methods = list(dict.fromkeys(method for method, _ in samples if method != "retrain"))
    for index, method in enumerate(methods):
        axes = part.add_subplot(height, WIDE, index + 1)
        draw_ratio_references(axes, grid, retrain, None if method == "original" else original, "original")
        variants = [variant for name, variant in samples if name == method]
        for variant in reversed(variants):
            first = variant == variants[0]
            below = share_below(samples[method, variant], grid)
            axes.plot(grid, below, color=colour_of(method), linewidth=1.8 if first else 0.7, alpha=1.0 if first else 0.5)
        quality = table.value(method, QUALITY)
        axes.set_title(method_name(method), loc="left", color=INK, fontsize=9)
        if quality is not None:
            axes.set_title(f"FQ {format_quality(quality)}", loc="right", color=SOFT, fontsize=8)
        axes.tick_params(labelleft=index % WIDE == 0, labelbottom=index + WIDE >= len(methods))
        if index + WIDE >= len(methods):
            axes.set_xlabel("Truth ratio", fontsize=8)


def _draw_curves(axes: Axes, table: Table, metric: str, lowest: float) -> None:
    is_quality = metric == QUALITY
    epochs = sorted({int(column.key.rpartition("_")[2]) for column in table.columns})
    standing = list(table.standing)
    # Of many methods only those that the paper compares stand out: more bands and broad lines would hide each other.
    prominent = standing if len(standing) <= FEW else [method for method in standing if method in PROMINENT]

    def height(value: float) -> float:
        return quality_height(value, lowest) if is_quality else value

    for row in reversed(table.rows):
        known = [(epoch, row.cells[key]) for epoch in epochs if (key := EPOCH.format(metric=metric, epoch=epoch)) in row.cells]
        if not known:
            continue
        stands, is_prominent = table.stands(row), row.method in prominent
        # A little beside each other, so that models at the end of the scale do not hide each other.
        aside = ASIDE * (standing.index(row.method) - (len(standing) - 1) / 2)
        x, colour = [epoch + aside for epoch, _ in known], colour_of(row.method)
        axes.plot(
            x,
            [height(cell.mean) for _, cell in known],
            color=colour,
            linestyle="-" if stands else "--",
            linewidth=1.7 if stands and is_prominent else 0.9,
            marker=marker_of(row.method) if stands else "",
            markersize=size_of(row.method) * (0.7 if is_prominent else 0.55),
            clip_on=False,
            zorder=3 if is_prominent else 2.5,
        )
        if stands and is_prominent:
            low, high = zip(*(_band(cell, is_quality) for _, cell in known), strict=True)
            axes.fill_between(x, [height(v) for v in low], [height(v) for v in high], color=colour, alpha=0.15, linewidth=0)
    if is_quality:
        draw_significance(axes, lowest)
    margin = 0.05 + ASIDE * (len(standing) - 1) / 2
    axes.set_xticks(epochs)
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)


def _band(cell: Cell, is_quality: bool) -> tuple[float, float]:
    """Return mean -/+ sd, or the range over seeds of a p-value, whose sd says nothing over decades."""
    if is_quality:
        return min(cell.values.values()), max(cell.values.values())
    sd = cell.sd or 0.0
    return cell.mean - sd, cell.mean + sd


def _draw_references(axes: Axes, table: Table, table1: Sequence[Table]) -> None:
    """Draw the forget probability of Retrain and Original, which no relearning starts from."""
    for method, style in (("retrain", DASHED), ("original", DOTTED)):
        values = [other.value(method, "forget_probability") for other in table1 if other.title == table.title]
        if values and values[0] is not None:
            axes.axhline(values[0], color=colour_of(method), linestyle=style, linewidth=0.9, zorder=1)


def _lowest(tables: Iterable[Table]) -> float:
    """Return the last tick of an axis that holds the forget quality of every seed."""
    columns = [(table, column.key) for table in tables for column in table.columns if column.key.startswith(QUALITY)]
    cells = [row.cells[key] for table, key in columns for row in table.rows if key in row.cells]
    return lowest_tick(value for cell in cells for value in cell.values.values())


def _has_variants(tables: Iterable[Table]) -> bool:
    return any(not table.stands(row) for table in tables for row in table.rows)


def _methods(tables: Iterable[Table]) -> list[str]:
    return sorted({row.method for table in tables for row in table.rows}, key=lambda method: model_order(method, ""))
