"""The page of costs: a table a stage, and what each method's time bought."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from palimpsest.report.figures import Axis, Grid, Panel
from palimpsest.report.names import model_label, standing_variant
from palimpsest.report.page import Shown, data_uri, page_environment
from palimpsest.report.vega import spec_of

NOT_MEASURED = "not measured"


def write_page(
    path: Path, study: str, costs: pd.DataFrame, points: pd.DataFrame, csv: Path, made: Mapping[str, list[str]]
) -> None:
    """Write the page: `costs` has a row a line of its tables, `points` one a mark of its figure; `csv` can be downloaded.

    `made` has the commits, dates and hardware of the jobs.
    """
    uri = data_uri(csv.read_bytes(), "text/csv")
    context: dict[str, Any] = {
        "study": study,
        "heads": ["Jobs", *MEASURED],
        "stages": [
            {"name": stage, "rows": [_shown(row) for row in rows.to_dict("records")]}
            for stage, rows in costs.groupby("stage", sort=False)
        ],
        "total": _total(costs),
        "made": made,
        "csv": uri,
        "file": csv.name,
        "figure": Shown.of("cost", spec_of(time_against_quality(points)), uri) if len(points) else None,
    }
    path.write_text(page_environment().get_template("cost.html").render(context), encoding="utf-8")


def time_against_quality(points: pd.DataFrame) -> Grid:
    """Return forget quality against the seconds that one unlearning took: a mark a variant, a panel a place and suite."""
    x, y = Axis("Seconds of one unlearning", zero=True), Axis("Forget quality", "quality")
    panels = []
    for place, rows in points.groupby(["benchmark", "split", "model", "suite"], sort=False):
        standing = {method: standing_variant(variants) for method, variants in rows.groupby("method")["variant"]}
        main = rows["variant"] == rows["method"].map(standing)
        data = rows.assign(x=rows["wall_s"], y=rows["forget_quality"], seed=0, main=main)
        panels.append(Panel("scatter", data, " / ".join(map(str, place)), x, y))
    return Grid([("", panels)], wide=2, height=265)


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as text."""
    jobs, measured = row["jobs"], row["measured"]
    return {
        "method": row["method"],
        "label": " · ".join(part for part in (model_label(row["method"], ""), row["attack"]) if part) or "shared",
        "place": " / ".join(part for part in (row["benchmark"], row["split"], row["model"]) if part),
        "cells": {"Jobs": f"{jobs} ({measured} measured)" if measured < jobs else str(jobs)}
        | {head: _written(row[key], write) for head, (key, write) in MEASURED.items()},
        "values": {head: row[key] for head, (key, _) in MEASURED.items() if not math.isnan(row[key])},
    }


def _total(costs: pd.DataFrame) -> dict[str, Any]:
    jobs, measured = int(costs["jobs"].sum()), int(costs["measured"].sum())
    hours = {name: _written(float(costs[name].sum()), _hours) for name in ("cpu_h", "gpu_h")}
    return {"jobs": jobs, "missing": jobs - measured, "wall": duration(float(costs["wall_s_sum"].sum())), **hours}


def _written(value: float, write: Callable[[float], str]) -> str:
    return NOT_MEASURED if math.isnan(value) else write(value)


def _hours(hours: float) -> str:
    return duration(hours * 3600) if hours else "none"


def _gigabytes(amount: float) -> str:
    return f"{amount:.2f} GB" if amount else "none"


def duration(seconds: float) -> str:
    """Write a time with its two largest units."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


# By head: the column of the costs, and how it is written.
MEASURED: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "Wall time, mean": ("wall_s_mean", duration),
    "Wall time, sum": ("wall_s_sum", duration),
    "CPU time": ("cpu_h", _hours),
    "GPU time": ("gpu_h", _hours),
    "Peak memory": ("peak_memory_gb", _gigabytes),
    "Peak GPU memory": ("peak_gpu_memory_gb", _gigabytes),
}
