"""Two halves of the forget set: forget quality and truth ratios on each, for the two questions that cut it in two."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from palimpsest.reporting.evidence import Evidence
from palimpsest.reporting.names import method_name
from palimpsest.reporting.questions.common import (
    KEY,
    Place,
    against_paper,
    compared,
    default_variant,
    finished,
    joined,
    methods_of,
    over_seeds,
    places,
    spread,
    table_of,
)
from palimpsest.reporting.style import (
    COLOURS,
    DASHED,
    INK,
    SOFT,
    colour_of,
    lowest_tick,
    marker_of,
    quality_axis,
    quality_height,
    size_of,
)
from palimpsest.reporting.tables import SIGNIFICANCE, format_quality, of_block
from palimpsest.scores.parts import forget_parts

NUMBERS = [*KEY, "seed", "method", "variant", "suite", "half", "forget_quality", "log_truth_ratio", "shift"]
SIDES = (0, 1)
# With more methods than this their names stand aslant.
CROWD = 6


@dataclass(frozen=True)
class Halving:
    """A way to cut the forget set in two: its parts as `forget_parts` names them, their names here, the start of the models."""

    parts: tuple[str, str]
    names: tuple[str, str]
    start: str


@dataclass(frozen=True)
class Halved:
    """One place under a halving: `numbers` by seed, model and half; `ratios` with `side` and `log_ratio` by item."""

    halving: Halving
    place: Place
    models: list[tuple[str, str]]
    numbers: pd.DataFrame
    ratios: pd.DataFrame

    def by_seed(self, column: str, method: str, side: int) -> pd.Series:
        """Return a column of `numbers` by seed."""
        rows = self.numbers[(self.numbers["method"] == method) & (self.numbers["half"] == self.halving.parts[side])]
        return rows.set_index("seed")[column].dropna()

    def mean(self, column: str, method: str, side: int) -> float:
        """Return its mean over seeds."""
        return float(self.by_seed(column, method, side).mean())

    def gap(self, method: str) -> pd.Series:
        """Return by seed how far the forget qualities of the two halves are apart."""
        return (self.by_seed("forget_quality", method, 0) - self.by_seed("forget_quality", method, 1)).abs().dropna()

    @property
    def over_seeds(self) -> str:
        """Over how many seeds its means go."""
        return over_seeds(self.numbers["seed"].nunique())

    def has(self, *methods: str) -> bool:
        """Return whether these methods are all there."""
        return set(methods) <= {method for method, _ in self.models}


def halved(evidence: Evidence, halving: Halving) -> list[Halved]:
    """Return every place with models that have forget quality on both halves, the unlearned models in the order of the tables."""
    found = []
    for place in places(evidence.study, finished(evidence.results)):
        standing = [(method, default_variant(place.block, method, start=halving.start)) for method in methods_of(place.block)]
        models = [
            (method, variant)
            for method, variant in standing
            if variant is not None and _has_both(place, halving, method, variant)
        ]
        if not models:
            continue
        ratios = _log_ratios(evidence.truth_ratios, place, halving)
        if not ratios[ratios["method"] == "retrain"].empty:
            everyone = [*models, (halving.start, ""), ("retrain", "")]
            found.append(Halved(halving, place, models, _numbers(place, halving, everyone, ratios), ratios))
    return found


def quality_sentence(of: Halved) -> str:
    """Give the forget quality of every model on both halves."""
    parts = [
        f"{format_quality(of.mean('forget_quality', method, 0))} and {format_quality(of.mean('forget_quality', method, 1))}"
        f" for {method_name(method)}"
        for method in compared(method for method, _ in of.models)
    ]
    first, second = of.halving.names
    return f"Forget quality on the {first} half and on the {second} half: {joined(parts)} ({of.over_seeds})."


def gap_sentence(of: Halved, claim: str, contrary: str, *, above: str, below: str) -> str:
    """Say whether the halves of one method are further apart than those of another, if both have a half that passes."""
    failed = [name for name in (above, below) if all(of.mean("forget_quality", name, side) < SIGNIFICANCE for side in SIDES)]
    if failed:
        names = joined([method_name(name) for name in failed])
        return f"Both halves of {names} are told apart from Retrain (below {SIGNIFICANCE:g}): their gap is not compared."
    ours, theirs = of.gap(above), of.gap(below)
    numbers = f"the halves' forget qualities are {ours.mean():.2f} apart for {method_name(above)}, {theirs.mean():.2f} for "
    return against_paper((ours - theirs).dropna(), claim, contrary, numbers + method_name(below))


def text_table(found: Sequence[Halved]) -> pd.DataFrame:
    """Return forget quality, its gap and the shift of the truth ratio as text, mean over seeds with their range."""
    rows = []
    for of in found:
        for method, _ in of.models:
            row = {"Study": of.place.title, "Method": method_name(method)}
            for side in SIDES:
                row[f"Forget quality, {of.halving.names[side]}"] = _ranged(
                    of.by_seed("forget_quality", method, side), format_quality
                )
            row["Apart"] = _ranged(of.gap(method), lambda value: f"{value:.2f}")
            for side in SIDES:
                row[f"Log truth ratio less Retrain's, {of.halving.names[side]}"] = _ranged(
                    of.by_seed("shift", method, side), lambda value: f"{value:+.2f}"
                )
            rows.append(row)
    return table_of(rows)


def draw(found: Sequence[Halved], start_label: str) -> Figure:
    """Draw a row a place: forget quality of every model on both halves, then the truth ratios of each half."""
    figure = Figure(figsize=(10.0, 0.5 + 3.2 * len(found)))
    parts = figure.subfigures(len(found), 1, squeeze=False)[:, 0]
    lowest = lowest_tick(
        quality
        for of in found
        for method, _ in of.models
        for side in SIDES
        for quality in of.by_seed("forget_quality", method, side)
    )
    for part, of in zip(parts, found, strict=True):
        part.suptitle(of.place.title, x=0.01, ha="left", fontsize=9.5, color=INK)
        _draw_place(part, of, lowest)
    names = found[0].halving.names
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "color": SOFT}
    handles: list[Any] = [
        Line2D([], [], markersize=7, label=f"{names[0]} half", **dot),
        Line2D([], [], markersize=7, markerfacecolor="white", label=f"{names[1]} half", **dot),
        Line2D([], [], color=SOFT, linewidth=0.9, linestyle=DASHED, label=f"p = {SIGNIFICANCE:g}"),
        Patch(facecolor="#e3e3e3", edgecolor=COLOURS["retrain"], label="Retrain"),
    ]
    if any(_has_start(of) for of in found):
        handles.append(Line2D([], [], color="black", linestyle=":", linewidth=1.2, label=start_label))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_place(part: SubFigure, of: Halved, lowest: float) -> None:
    quality, *distributions = part.subplots(1, 3, width_ratios=[1.5 if len(of.models) <= CROWD else 2.2, 1, 1])
    _draw_qualities(quality, of, lowest)
    drawn = compared(method for method, _ in of.models)
    logs = of.ratios.loc[of.ratios["method"].isin(["retrain", of.halving.start]), "log_ratio"]
    # A collapsed model's ratios may lie decades away; they show as a curve that starts or ends away from 0 and 1.
    left, right = np.quantile(logs / math.log(10), [0.002, 0.998]) + np.array([-0.25, 0.25])
    for side, axes in enumerate(distributions):
        _draw_distributions(axes, of, side, drawn, np.linspace(left, right, 181))
    distributions[1].tick_params(labelleft=False)
    distributions[0].set_ylabel("Share of answers below")
    handles = [Line2D([], [], color=colour_of(method), linewidth=1.8, label=method_name(method)) for method in drawn]
    distributions[0].legend(handles=handles, loc="upper left", handlelength=1.2)


def _draw_qualities(axes: Axes, of: Halved, lowest: float) -> None:
    axes.set_title("Forget quality", loc="left", color=INK)
    axes.axhline(quality_height(SIGNIFICANCE, lowest), color=SOFT, linewidth=0.9, linestyle=DASHED, zorder=1)
    is_crowded = len(of.models) > CROWD
    for place, (method, _) in enumerate(of.models):
        size = size_of(method) * (0.75 if is_crowded else 1.0)
        look: dict[str, Any] = {"marker": marker_of(method), "color": colour_of(method), "clip_on": False}
        x = [place - 0.16, place + 0.16]
        values = [of.by_seed("forget_quality", method, side) for side in SIDES]
        means = [quality_height(float(of_side.mean()), lowest) for of_side in values]
        axes.plot(x, means, color=colour_of(method), linewidth=1.2, zorder=2)
        for side in SIDES:
            heights = [quality_height(value, lowest) for value in values[side]]
            if len(heights) > 1:
                axes.plot([x[side]] * len(heights), heights, linestyle="", markersize=3, alpha=0.45, **look)
            face = colour_of(method) if side == 0 else "white"
            axes.plot(x[side], means[side], markersize=size, markerfacecolor=face, zorder=4, **look)
    axes.set_xlim(-0.6, len(of.models) - 0.4)
    axes.set_xticks(range(len(of.models)), [method_name(method) for method, _ in of.models])
    if is_crowded:
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
    axes.grid(axis="x", visible=False)
    quality_axis(axes, lowest)


def _draw_distributions(axes: Axes, of: Halved, side: int, methods: Sequence[str], grid: np.ndarray) -> None:
    variants = dict(of.models)
    ratios = of.ratios[of.ratios["side"] == side]

    def below(method: str) -> np.ndarray:
        rows = ratios[(ratios["method"] == method) & (ratios["variant"] == variants.get(method, ""))]
        ordered = np.sort(rows["log_ratio"].to_numpy(dtype=float)) / math.log(10)
        return np.searchsorted(ordered, grid, side="right") / max(len(ordered), 1)

    axes.set_title(f"Truth ratio, {of.halving.names[side]} half", loc="left", color=INK)
    axes.fill_between(grid, below("retrain"), color="#e3e3e3", linewidth=0)
    axes.plot(grid, below("retrain"), color=COLOURS["retrain"], linewidth=0.8)
    if _has_start(of):
        axes.plot(grid, below(of.halving.start), color="black", linestyle=":", linewidth=1.2)
    for method in methods:
        axes.plot(grid, below(method), color=colour_of(method), linewidth=1.8)
    ticks = [value for value in (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100) if grid[0] <= math.log10(value) <= grid[-1]]
    axes.set_xticks([math.log10(value) for value in ticks], [f"{value:g}" for value in ticks])
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])


def _has_start(of: Halved) -> bool:
    return of.halving.start in set(of.ratios["method"])


def _has_both(place: Place, halving: Halving, method: str, variant: str) -> bool:
    first, second = (set(place.by_seed(f"forget_quality_{part}", method, variant).index) for part in halving.parts)
    return bool(first & second)


def _log_ratios(truth_ratios: pd.DataFrame, place: Place, halving: Halving) -> pd.DataFrame:
    rows = of_block(truth_ratios, place.block)
    rows = rows[(rows["suite"] == place.suite) & (rows["set"] == "forget")]
    first = forget_parts(rows.drop_duplicates("id")).get(halving.parts[0], [])
    # A ratio may be 0 or infinite in floating point: it still counts as lying on that side.
    logs = np.log(rows["truth_ratio"].astype(float).clip(1e-300, 1e300))
    return rows.assign(side=(~rows["id"].isin(first)).astype(int), log_ratio=logs).dropna(subset="log_ratio")


def _numbers(place: Place, halving: Halving, models: Iterable[tuple[str, str]], ratios: pd.DataFrame) -> pd.DataFrame:
    means = ratios.groupby(["method", "variant", "side", "seed"])["log_ratio"].mean()
    rows = []
    for method, variant in models:
        for side, part in enumerate(halving.parts):
            quality = place.by_seed(f"forget_quality_{part}", method, variant)
            key = dict(zip(KEY, place.block.key, strict=True))
            for seed in sorted({*quality.index, *(s for m, v, h, s in means.index if (m, v, h) == (method, variant, side))}):
                log_ratio = means.get((method, variant, side, seed))
                rows.append(
                    key
                    | {"seed": seed, "method": method, "variant": variant, "suite": place.suite, "half": part}
                    | {"forget_quality": quality.get(seed), "log_truth_ratio": log_ratio}
                    | {"shift": None if log_ratio is None else log_ratio - means.get(("retrain", "", side, seed), math.nan)}
                )
    numbers = pd.DataFrame(rows, columns=NUMBERS)
    return numbers.astype(dict.fromkeys(["forget_quality", "log_truth_ratio", "shift"], "float64"))


def _ranged(values: pd.Series, text: Callable[[float], str]) -> str:
    if values.empty:
        return ""
    mean, low, high = spread(values)
    return text(mean) if len(values) == 1 else f"{text(mean)} ({text(low)} to {text(high)})"
