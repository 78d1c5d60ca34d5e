"""Forget quality and model utility, the two scores of unlearning: how the questions write and draw them over seeds."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from palimpsest.reporting.questions.common import Spread, in_all
from palimpsest.reporting.style import colour_of, marker_of, quality_axis, quality_height, size_of
from palimpsest.reporting.tables import SIGNIFICANCE, format_quality

QUALITY, UTILITY = "forget_quality", "model_utility"
# As they are called in figures.
SCORES = {QUALITY: "Forget quality", UTILITY: "Model utility"}


def number(metric: str, value: float) -> str:
    """Write one of the two scores."""
    return format_quality(value) if metric == QUALITY else f"{value:.3f}"


def in_seeds(differences: pd.Series) -> str:
    """Say in how many seeds a difference has the sign of its mean; where they disagree, that it lies within their spread."""
    count, mean = len(differences), float(differences.mean())
    alike = int(((differences > 0) if mean > 0 else (differences < 0) if mean < 0 else (differences == 0)).sum())
    if count == 1:
        return "in the only seed"
    if alike == count:
        return in_all(count)
    return f"in {alike} of {count} seeds, within the spread over seeds"


def both_fail(first: float, second: float) -> str:
    """Add that two mean forget qualities are both below the level at which models are told apart from Retrain, or nothing."""
    return ", both told apart from Retrain" if max(first, second) <= SIGNIFICANCE else ""


def score_height(metric: str, value: float, lowest: float) -> float:
    """Return where one of the two scores stands on its axis."""
    return quality_height(value, lowest) if metric == QUALITY else value


def score_axis(axes: Axes, metric: str, lowest: float) -> None:
    """Give an axis the name and the ticks of one of the two scores."""
    axes.set_ylabel(SCORES[metric])
    axes.margins(y=0.1)
    if metric == QUALITY:
        quality_axis(axes, lowest)


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
    style: dict[str, Any] = {"marker": marker_of(method), "color": colour_of(method), "markersize": size_of(method) * 0.45}
    if len(heights) > 1:
        axes.plot([x] * len(heights), heights, linestyle="", alpha=0.45, clip_on=False, zorder=3.5, **style)
