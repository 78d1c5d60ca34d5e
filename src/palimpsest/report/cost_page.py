"""The page of costs: a table a stage, and what each method's time bought."""

import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from palimpsest.report.drawing import draw_significance, lowest_tick, method_handle, quality_axis, quality_height
from palimpsest.report.names import model_label, model_order, standing_variant
from palimpsest.report.page import data_uri, page_environment
from palimpsest.report.style import INK, SOFT, STYLE, colour_of, marker_of, size_of

HEADS = ("Jobs", "Wall time, mean", "Wall time, sum", "CPU time", "GPU time", "Peak memory")
NOT_MEASURED = "not measured"


def write_page(path: Path, study: str, costs: pd.DataFrame, points: pd.DataFrame, csv: Path) -> None:
    """Write the page: `costs` has a row a line of its tables, `points` one a mark of its figure; `csv` can be downloaded."""
    context: dict[str, Any] = {
        "study": study,
        "heads": HEADS,
        "stages": [
            {"name": stage, "rows": [_shown(row) for row in rows.to_dict("records")]}
            for stage, rows in costs.groupby("stage", sort=False)
        ],
        "total": _total(costs),
        "csv": data_uri(csv.read_bytes(), "text/csv"),
        "file": csv.name,
        "figure": _svg(points) if len(points) else "",
    }
    path.write_text(page_environment().get_template("cost.html").render(context), encoding="utf-8")


def _svg(points: pd.DataFrame) -> str:
    buffer = BytesIO()
    with matplotlib.style.context(["default", STYLE]):
        time_against_quality(points).savefig(buffer, format="svg")
    return data_uri(buffer.getvalue(), "image/svg+xml")


def time_against_quality(points: pd.DataFrame) -> Figure:
    """Draw forget quality against the seconds that one unlearning took: a mark a variant, a panel a place and suite."""
    panels = list(points.groupby(["benchmark", "split", "model", "suite"], sort=False))
    figure = Figure(figsize=(6.4, 3.4 * max(len(panels), 1)))
    lowest = lowest_tick(points["forget_quality"])
    has_others = False
    for index, (place, rows) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        axes.set_title(" / ".join(map(str, place)), loc="left", color=INK, pad=10)
        draw_significance(axes, lowest)
        standing = {method: standing_variant(variants) for method, variants in rows.groupby("method")["variant"]}
        for row in rows.to_dict("records"):
            stands = row["variant"] == standing[row["method"]]
            has_others = has_others or not stands
            colour = colour_of(row["method"])
            axes.plot(
                [row["wall_s"]],
                [quality_height(row["forget_quality"], lowest)],
                linestyle="",
                marker=marker_of(row["method"]),
                color=colour if stands else "white",
                markeredgecolor="white" if stands else colour,
                markersize=size_of(row["method"]) * (1 if stands else 0.75),
                clip_on=False,
                zorder=4 if stands else 3,
            )
        axes.set_xlim(0, 1.08 * max(rows["wall_s"]))
        axes.set_xlabel("Seconds of one unlearning")
        axes.set_ylabel("Forget quality")
        quality_axis(axes, lowest)
    methods = sorted(set(points["method"]), key=lambda method: model_order(method, ""))
    handles = [method_handle(method, line=False) for method in methods]
    if has_others:
        handles.append(Line2D([], [], linestyle="", marker="o", color=SOFT, markerfacecolor="white", label="other variants"))
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as text; what was not measured says so."""
    jobs, measured = row["jobs"], row["measured"]
    cells = dict.fromkeys(HEADS, NOT_MEASURED) | {"Jobs": f"{jobs} ({measured} measured)" if measured < jobs else str(jobs)}
    if measured:
        wall = (duration(row["wall_s_mean"]), duration(row["wall_s_sum"]))
        cells |= dict(
            zip(HEADS[1:], (*wall, _time(row["cpu_h"]), _time(row["gpu_h"]), _memory(row["peak_memory_gb"])), strict=True)
        )
    return {
        "method": row["method"],
        "label": " · ".join(part for part in (model_label(row["method"], ""), row["attack"]) if part) or "shared",
        "place": " / ".join(part for part in (row["benchmark"], row["split"], row["model"]) if part),
        "cells": cells,
    }


def _total(costs: pd.DataFrame) -> dict[str, Any]:
    jobs, measured = int(costs["jobs"].sum()), int(costs["measured"].sum())
    hours = {name: _time(float(costs[name].sum())) for name in ("cpu_h", "gpu_h")}
    return {"jobs": jobs, "missing": jobs - measured, "wall": duration(float(costs["wall_s_sum"].sum())), **hours}


def _time(hours: float) -> str:
    return NOT_MEASURED if math.isnan(hours) else duration(hours * 3600) if hours else "none"


def _memory(gigabytes: float) -> str:
    return NOT_MEASURED if math.isnan(gigabytes) else f"{gigabytes:.2f} GB"


def duration(seconds: float) -> str:
    """Write a time with its two largest units."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
