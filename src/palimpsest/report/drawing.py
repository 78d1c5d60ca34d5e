"""What figures are drawn with: the axes of scores and of truth ratios, marks over seeds, rows of panels, parts of a legend."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from palimpsest.report.names import method_name
from palimpsest.report.style import COLOURS, DASHED, DOTTED, INK, SOFT, colour_of, marker_of, size_of
from palimpsest.report.words import QUALITY, SCORES, SIGNIFICANCE, Spread

# P-values below the last one are drawn at it: they say the same, and some are 0 by underflow.
QUALITY_TICKS = (1.0, 0.5, 0.1, 0.01, 1e-3, 1e-5, 1e-10, 1e-20)
RATIO_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
# So many names fit below a panel of usual width without being turned.
UPRIGHT = 3


def lowest_tick(qualities: Iterable[float]) -> float:
    """Return the last tick of an axis that holds all these forget qualities."""
    least = min(qualities, default=1.0)
    return next((tick for tick in QUALITY_TICKS[3:] if tick <= least), QUALITY_TICKS[-1])


def quality_height(quality: float, lowest: float) -> float:
    """Return where a p-value stands: minus the root of its decades, so that 0.5 and 0.99 part as well as 1e-5 and 1e-20."""
    return -math.sqrt(-math.log10(min(max(quality, lowest), 1.0)))


def quality_axis(axes: Axes, lowest: float) -> None:
    """Give an axis the ticks of forget quality down to `lowest`, one of QUALITY_TICKS."""
    ticks = [tick for tick in QUALITY_TICKS if tick >= lowest]
    labels = [f"{tick:g}" if tick >= 0.001 else f"{tick:.0e}" for tick in ticks]
    if lowest == QUALITY_TICKS[-1]:
        labels[-1] = f"≤{labels[-1]}"
    axes.set_yticks([quality_height(tick, lowest) for tick in ticks], labels)
    axes.set_ylim(quality_height(lowest, lowest) * 1.03, 0)


def empty_figure(text: str) -> Figure:
    """Return a figure that says why there is nothing to show."""
    figure = Figure(figsize=(6.4, 0.9))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=SOFT)
    return figure


def panel_rows(figure: Figure, titles: Sequence[str], heights: Sequence[float] | None = None) -> list[SubFigure]:
    """Cut a figure into rows below each other, each under its title."""
    rows = list(figure.subfigures(len(titles), 1, height_ratios=heights, squeeze=False)[:, 0])
    for row, title in zip(rows, titles, strict=True):
        row.suptitle(title, x=0.01, ha="left", fontsize=9.5, color=INK)
    return rows


def score_height(metric: str, value: float, lowest: float) -> float:
    """Return where a score stands on its axis, forget quality down to `lowest`."""
    return quality_height(value, lowest) if metric == QUALITY else value


def score_axis(axes: Axes, metric: str, lowest: float) -> None:
    """Give an axis the name and the ticks of one of the two scores."""
    axes.set_ylabel(SCORES[metric])
    if metric == QUALITY:
        quality_axis(axes, lowest)
        return
    axes.margins(y=0.1)
    low, high = axes.get_ylim()
    # Of values that are all alike the library would show the rounding.
    if high - low < 0.01:
        axes.set_ylim(low - 0.01, high + 0.01)


def draw_significance(axes: Axes, lowest: float) -> None:
    """Draw the forget quality below which a model is told apart from Retrain."""
    axes.axhline(quality_height(SIGNIFICANCE, lowest), color=SOFT, linewidth=0.9, linestyle=DASHED, zorder=1)


def significance_handle(where: str = "") -> Line2D:
    """Return that line for a legend."""
    return Line2D([], [], color=SOFT, linewidth=0.9, linestyle=DASHED, label=f"p = {SIGNIFICANCE:g}{where}")


def method_handle(method: str, label: str = "", scale: float = 1.0, *, line: bool = True) -> Line2D:
    """Return a method's mark for a legend, on its line or alone."""
    look: dict[str, Any] = {"linestyle": "-" if line else "", "marker": marker_of(method), "markersize": size_of(method) * scale}
    return Line2D([], [], color=colour_of(method), label=label or method_name(method), **look)


def name_methods(axes: Axes, methods: Sequence[str], upright: int = UPRIGHT) -> None:
    """Name the methods that stand beside each other on an axis at 0, 1, 2, ..., aslant where they are many."""
    turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if len(methods) > upright else {}
    axes.set_xticks(range(len(methods)), [method_name(method) for method in methods], **turned)
    axes.grid(visible=False, axis="x")


def draw_spread(axes: Axes, x: float, metric: str, lowest: float, method: str, of: Spread) -> None:
    """Draw a score of one model: a large mark at its mean and a bar from low to high."""
    colour = colour_of(method)
    low, mean, high = (score_height(metric, value, lowest) for value in (of.low, of.mean, of.high))
    axes.plot([x, x], [low, high], color=colour, linewidth=5.0, alpha=0.4, solid_capstyle="butt", clip_on=False, zorder=3)
    axes.plot(
        [x],
        [mean],
        linestyle="",
        marker=marker_of(method),
        color=colour,
        markeredgecolor="white",
        markeredgewidth=0.7,
        markersize=size_of(method) * 0.75,
        clip_on=False,
        zorder=4,
    )


def draw_seeds(axes: Axes, x: float, metric: str, lowest: float, method: str, values: Iterable[float]) -> None:
    """Draw a score of one model as a small mark a seed, where there are several."""
    heights = [score_height(metric, value, lowest) for value in values]
    look: dict[str, Any] = {"marker": marker_of(method), "color": colour_of(method), "markersize": size_of(method) * 0.45}
    if len(heights) > 1:
        axes.plot([x] * len(heights), heights, linestyle="", alpha=0.45, clip_on=False, zorder=3.5, **look)


def log_ratios(truth_ratios: pd.Series) -> np.ndarray:
    """Return log10 of truth ratios; one may be 0 or infinite in floating point, and still counts as lying on that side."""
    logs: np.ndarray = np.log10(truth_ratios.to_numpy(dtype=float).clip(1e-300, 1e300))
    return logs


def ratio_grid(usual: np.ndarray) -> np.ndarray:
    """Return where to draw distributions of log10 truth ratios: a collapsed model's may lie decades away from the usual ones."""
    left, right = np.quantile(usual, [0.002, 0.998]) + np.array([-0.25, 0.25])
    return np.linspace(left, right, 181)


def share_below(logs: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return which share of the numbers is at most each of the grid's."""
    return np.searchsorted(np.sort(logs), grid, side="right") / max(len(logs), 1)


def draw_ratio_references(axes: Axes, grid: np.ndarray, retrain: np.ndarray, original: np.ndarray | None, role: str) -> None:
    """Draw what log10 truth ratios are judged by, and their axis: Retrain's as a grey area, those of `role` as a dotted line."""
    axes.fill_between(grid, share_below(retrain, grid), color="#e3e3e3", linewidth=0)
    axes.plot(grid, share_below(retrain, grid), color=COLOURS["retrain"], linewidth=0.8)
    if original is not None:
        axes.plot(grid, share_below(original, grid), color=colour_of(role), linestyle=DOTTED, linewidth=1.2)
    ticks = [value for value in RATIO_TICKS if grid[0] <= math.log10(value) <= grid[-1]]
    axes.set_xticks([math.log10(value) for value in ticks], [f"{value:g}" for value in ticks])
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def retrain_patch() -> Patch:
    """Return that area for a legend."""
    return Patch(facecolor="#e3e3e3", edgecolor=COLOURS["retrain"], label="Retrain")


def dotted_handle(role: str, label: str = "") -> Line2D:
    """Return that line for a legend."""
    return Line2D([], [], color=colour_of(role), linestyle=DOTTED, linewidth=1.2, label=label or method_name(role))
