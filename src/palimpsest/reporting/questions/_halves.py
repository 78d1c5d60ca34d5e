"""Two halves of the forget set: forget quality and truth ratios on each, for the two questions that cut it in two."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from palimpsest.benchmarks.tofu.parts import forget_parts
from palimpsest.reporting.drawing import (
    dotted_handle,
    draw_ratio_references,
    draw_significance,
    log_ratios,
    lowest_tick,
    name_methods,
    panel_rows,
    quality_axis,
    quality_height,
    ratio_grid,
    retrain_patch,
    share_below,
    significance_handle,
)
from palimpsest.reporting.evidence import Evidence, Place
from palimpsest.reporting.names import compared, method_name
from palimpsest.reporting.rows import KEY, of_block
from palimpsest.reporting.style import INK, SOFT, colour_of, marker_of, size_of
from palimpsest.reporting.words import (
    QUALITY,
    SIGNIFICANCE,
    against_paper,
    format_quality,
    format_range,
    joined,
    over_seeds,
    table_of,
)

MEASURES = [QUALITY, "log_truth_ratio", "shift"]
NUMBERS = [*KEY, "seed", "method", "variant", "suite", "half", *MEASURES]
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
    """One place under a halving: `numbers` by seed, model and half; `ratios` by item with `side` and log10 as `log_ratio`."""

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
        """Over how many seeds the means of its models go; their start and Retrain may have more."""
        ours = self.numbers["method"].isin({method for method, _ in self.models})
        return over_seeds(self.numbers.loc[ours, "seed"].nunique())

    def has(self, *methods: str) -> bool:
        """Return whether these methods are all there."""
        return set(methods) <= {method for method, _ in self.models}


def halved(evidence: Evidence, halving: Halving) -> list[Halved]:
    """Return every place with models that have forget quality on both halves, the unlearned models in the order of the tables."""
    found = []
    for place in evidence.finished:
        models = [model for model in place.block.standing_models(start=halving.start) if _has_both(place, halving, *model)]
        ratios = _log_ratios(evidence.truth_ratios, place, halving)
        if models and (ratios["method"] == "retrain").any():
            everyone = [*models, (halving.start, ""), ("retrain", "")]
            found.append(Halved(halving, place, models, _numbers(place, halving, everyone, ratios), ratios))
    return found


def quality_sentence(of: Halved) -> str:
    """Give the forget quality of every model on both halves."""
    parts = []
    for method in compared(method for method, _ in of.models):
        qualities = joined([format_quality(of.mean(QUALITY, method, side)) for side in SIDES])
        parts.append(f"{qualities} for {method_name(method)}")
    first, second = of.halving.names
    return f"Forget quality on the {first} half and on the {second} half: {joined(parts)} ({of.over_seeds})."


def gap_sentence(of: Halved, claim: str, contrary: str) -> str:
    """Say whether the halves are further apart for NPO than for SimNPO, if both have a half that passes."""
    if not of.has("npo", "simnpo"):
        return f"Whether {claim} is left open: not both were unlearned from this start."
    failed = [name for name in ("npo", "simnpo") if all(of.mean(QUALITY, name, side) < SIGNIFICANCE for side in SIDES)]
    if failed:
        names = joined([method_name(name) for name in failed])
        return f"Whether {claim} is left open: both halves of {names} are told apart from Retrain (below {SIGNIFICANCE:g})."
    npo, simnpo = of.gap("npo"), of.gap("simnpo")
    numbers = f"the halves' forget qualities are {npo.mean():.2f} apart for NPO, {simnpo.mean():.2f} for SimNPO"
    return against_paper((npo - simnpo).dropna(), claim, contrary, numbers)


def text_table(found: Sequence[Halved]) -> pd.DataFrame:
    """Return forget quality, its gap and the shift of the truth ratio as text, mean over seeds with their range."""
    rows = []
    for of in found:
        for method, _ in of.models:
            row = {"Method": method_name(method)}
            for side, name in enumerate(of.halving.names):
                row[f"Forget quality, {name}"] = format_range(of.by_seed(QUALITY, method, side), format_quality)
            row["Apart"] = format_range(of.gap(method), "{:.2f}".format)
            for side, name in enumerate(of.halving.names):
                shift = of.by_seed("shift", method, side)
                row[f"Log truth ratio less Retrain's, {name}"] = format_range(shift, "{:+z.2f}".format)
            rows.append((of.place.title, row))
    return table_of(rows)


def draw(found: Sequence[Halved], start_label: str) -> Figure:
    """Draw a row a place: forget quality of every model on both halves, then the truth ratios of each half."""
    figure = Figure(figsize=(10.0, 0.5 + 3.2 * len(found)))
    unlearned = [of.numbers.loc[~of.numbers["method"].isin([of.halving.start, "retrain"]), QUALITY] for of in found]
    lowest = lowest_tick(pd.concat(unlearned).dropna())
    for part, of in zip(panel_rows(figure, [of.place.title for of in found]), found, strict=True):
        _draw_place(part, of, lowest)
    halving = found[0].halving
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "color": SOFT, "markersize": 7}
    handles: list[Any] = [
        Line2D([], [], label=f"{halving.names[0]} half", **dot),
        Line2D([], [], markerfacecolor="white", label=f"{halving.names[1]} half", **dot),
        significance_handle(),
        retrain_patch(),
    ]
    if any((of.ratios["method"] == halving.start).any() for of in found):
        handles.append(dotted_handle(halving.start, start_label))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_place(part: SubFigure, of: Halved, lowest: float) -> None:
    quality, *distributions = part.subplots(1, 3, width_ratios=[1.5 if len(of.models) <= CROWD else 2.2, 1, 1])
    _draw_qualities(quality, of, lowest)
    drawn = compared(method for method, _ in of.models)
    grid = ratio_grid(of.ratios.loc[of.ratios["method"].isin(["retrain", of.halving.start]), "log_ratio"].to_numpy())
    for side, axes in enumerate(distributions):
        _draw_distributions(axes, of, side, drawn, grid)
    distributions[1].tick_params(labelleft=False)
    distributions[0].set_ylabel("Share of answers below")
    handles = [Line2D([], [], color=colour_of(method), linewidth=1.8, label=method_name(method)) for method in drawn]
    distributions[0].legend(handles=handles, loc="upper left", handlelength=1.2, frameon=True, edgecolor="none")


def _draw_qualities(axes: Axes, of: Halved, lowest: float) -> None:
    axes.set_title("Forget quality", loc="left", color=INK)
    draw_significance(axes, lowest)
    for place, (method, _) in enumerate(of.models):
        size = size_of(method) * (0.75 if len(of.models) > CROWD else 1.0)
        look: dict[str, Any] = {"marker": marker_of(method), "color": colour_of(method), "clip_on": False}
        x = [place - 0.16, place + 0.16]
        values = [of.by_seed(QUALITY, method, side) for side in SIDES]
        means = [quality_height(float(of_side.mean()), lowest) for of_side in values]
        axes.plot(x, means, color=colour_of(method), linewidth=1.2, zorder=2)
        for side in SIDES:
            heights = [quality_height(value, lowest) for value in values[side]]
            if len(heights) > 1:
                axes.plot([x[side]] * len(heights), heights, linestyle="", markersize=3, alpha=0.45, **look)
            face = colour_of(method) if side == 0 else "white"
            axes.plot(x[side], means[side], markersize=size, markerfacecolor=face, zorder=4, **look)
    axes.set_xlim(-0.6, len(of.models) - 0.4)
    name_methods(axes, [method for method, _ in of.models], CROWD)
    quality_axis(axes, lowest)


def _draw_distributions(axes: Axes, of: Halved, side: int, methods: Sequence[str], grid: np.ndarray) -> None:
    variants = dict(of.models)
    ratios = of.ratios[of.ratios["side"] == side]

    def logs(method: str) -> np.ndarray:
        rows = ratios[(ratios["method"] == method) & (ratios["variant"] == variants.get(method, ""))]
        return rows["log_ratio"].to_numpy(dtype=float)

    axes.set_title(f"Truth ratio, {of.halving.names[side]} half", loc="left", color=INK)
    start = logs(of.halving.start)
    draw_ratio_references(axes, grid, logs("retrain"), start if len(start) else None, of.halving.start)
    for method in methods:
        axes.plot(grid, share_below(logs(method), grid), color=colour_of(method), linewidth=1.8)


def _has_both(place: Place, halving: Halving, method: str, variant: str) -> bool:
    first, second = (set(place.by_seed(f"{QUALITY}_{part}", method, variant).index) for part in halving.parts)
    return bool(first & second)


def _log_ratios(truth_ratios: pd.DataFrame, place: Place, halving: Halving) -> pd.DataFrame:
    rows = of_block(truth_ratios, place.block).dropna(subset="truth_ratio")
    rows = rows[(rows["suite"] == place.suite) & (rows["set"] == "forget")]
    first = forget_parts(rows.drop_duplicates("id")).get(halving.parts[0], [])
    return rows.assign(side=(~rows["id"].isin(first)).astype(int), log_ratio=log_ratios(rows["truth_ratio"]))


def _numbers(place: Place, halving: Halving, models: Iterable[tuple[str, str]], ratios: pd.DataFrame) -> pd.DataFrame:
    # Natural logarithms in numbers and sentences: the truth ratio itself is the exponential of a difference of losses.
    logs = ratios.assign(log_ratio=ratios["log_ratio"] * math.log(10))
    means = logs.pivot_table(values="log_ratio", index="seed", columns=["method", "variant", "side"])
    tables = []
    for method, variant in models:
        for side, part in enumerate(halving.parts):
            own, retrain = (means.get((*model, side), pd.Series(dtype=float)) for model in ((method, variant), ("retrain", "")))
            quality = place.by_seed(f"{QUALITY}_{part}", method, variant)
            table = pd.DataFrame(dict(zip(MEASURES, (quality, own, own - retrain), strict=True))).dropna(how="all")
            if len(table):
                model = place.identity | {"method": method, "variant": variant, "half": part}
                tables.append(table.rename_axis("seed").sort_index().reset_index().assign(**model))
    return pd.concat(tables, ignore_index=True)[NUMBERS]
