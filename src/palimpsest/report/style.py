"""How every figure looks: colours and marks of the methods, SVG and PNG whose bytes repeat."""

from pathlib import Path
from typing import Any, Literal

from matplotlib.figure import Figure

from palimpsest.methods import list_methods, load_method
from palimpsest.methods.base import Method

INK, SOFT = "#222222", "#6b6b6b"
# The light green behind what is good.
GOOD = "#e8efe8"
# Dark ones for the models that no method made; a method has its own, of Okabe and Ito's palette without its yellow, or of Tol's
# muted one: told apart by all common forms of colour vision.
COLOURS = {"original": "#000000", "original-half": "#5C4033", "retrain": "#6b6b6b"}
MARKERS = {"original": "D", "original-half": "d", "retrain": "*"}
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
DASHED = (0, (4, 3))
DOTTED: Literal[":"] = ":"


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as SVG and PNG, without the time and the version that the library puts into them."""
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    figure.savefig(stem.with_suffix(".png"), metadata={"Software": None}, dpi=144)


def colour_of(method: str) -> str:
    """Return the colour of a method or role, one for all that are neither."""
    return COLOURS.get(method) or _method(method).colour


def marker_of(method: str) -> str:
    """Return the marker of a method or role, one for all that are neither."""
    return MARKERS.get(method) or _method(method).marker


def size_of(method: str) -> float:
    """Return the size of a method's marker, in points."""
    return {"retrain": 12.0, "original": 7.0, "original-half": 9.0}.get(method, 8.0)


def _method(method: str) -> type[Method]:
    return load_method(method) if method in list_methods() else Method
