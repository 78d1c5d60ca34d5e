"""How every figure looks: colours and marks of the methods, the axis of forget quality, SVG and PNG whose bytes repeat."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT = "#222222", "#6b6b6b"
# Okabe and Ito's palette without its yellow, then Tol's muted one: told apart by all common forms of colour vision.
COLOURS = {
    "original": "#000000",
    "retrain": "#6b6b6b",
    "ga": "#E69F00",
    "graddiff": "#56B4E9",
    "w-graddiff": "#009E73",
    "idk": "#CC79A7",
    "dpo-idk": "#882255",
    "npo": "#0072B2",
    "simnpo": "#D55E00",
    "rkld": "#999933",
    "task-vector": "#332288",
    "rmu": "#44AA99",
}
MARKERS = dict(zip(COLOURS, ["D", "*", "^", "v", "<", "P", "X", "s", "o", "p", "h", "d"], strict=True))
OTHER_COLOUR, OTHER_MARKER = "#AA4499", "8"
STYLE: dict[str, Any] = {
    "svg.hashsalt": "palimpsest",
    "svg.fonttype": "path",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ececec",
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
}
# P-values below the last one are drawn at it: they say the same, and some are 0 by underflow.
QUALITY_TICKS = (1.0, 0.5, 0.1, 0.01, 1e-3, 1e-5, 1e-10, 1e-20)
DASHED = (0, (4, 3))


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as SVG and PNG, without the time and the version that the library puts into them."""
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    figure.savefig(stem.with_suffix(".png"), metadata={"Software": None}, dpi=144)


def colour_of(method: str) -> str:
    """Return the colour of a method, one for all that are not known."""
    return COLOURS.get(method, OTHER_COLOUR)


def marker_of(method: str) -> str:
    """Return the marker of a method, one for all that are not known."""
    return MARKERS.get(method, OTHER_MARKER)


def size_of(method: str) -> float:
    """Return the size of a method's marker, in points."""
    return {"retrain": 12.0, "original": 7.0}.get(method, 8.0)


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
