"""Where the gradient goes: the weight that NPO and SimNPO give to each answer of the forget set, epoch by epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.stats import pearsonr

from palimpsest.data.splits import halves
from palimpsest.report.drawing import panel_rows
from palimpsest.report.evidence import Answer, Evidence
from palimpsest.report.names import model_label
from palimpsest.report.rows import KEY, of_block
from palimpsest.report.study import Block
from palimpsest.report.style import INK, SOFT, colour_of
from palimpsest.report.words import (
    format_range,
    in_all,
    joined,
    over_seeds,
    sign_over_seeds,
    table_of,
    under_titles,
    variants_shown,
)

QUESTION = "Where does each method spend its gradient?"
PAPER = "Figs. 3a-b and 4"
SYMBOLS = {"npo": "w", "simnpo": "w'"}
QUANTILES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
NUMBERS = [*KEY, "seed", "method", "variant", "epoch", "answers", "mean", *QUANTILES, "pearson_r", "share_shorter_half"]
# Weights that differ by less than this share of the greatest are all the same: what is left of them is rounding.
EQUAL = 1e-3
# Nearer to 1 than this, NPO's weights are called uniform, as eq. 4 has them before the first update.
UNIFORM = 0.1
# Below this share of their first median, weights are called collapsed.
COLLAPSED = 0.1
# Weights below are drawn at it: some are 0 by underflow.
LEAST = 1e-30


@dataclass(frozen=True)
class Weights:
    """The weights of one model: `items` by seed, epoch and answer, `numbers` by seed and epoch."""

    block: Block
    method: str
    variant: str
    items: pd.DataFrame
    numbers: pd.DataFrame

    @property
    def label(self) -> str:
        """What the model is called."""
        return model_label(self.method, self.variant)

    @property
    def epochs(self) -> list[int]:
        """The epochs that have weights."""
        return sorted(int(epoch) for epoch in self.items["epoch"].unique())

    @property
    def shown(self) -> list[int]:
        """The first of them, the middle one and the last."""
        return sorted({self.epochs[0], self.epochs[(len(self.epochs) - 1) // 2], self.epochs[-1]})

    def by_seed(self, column: str, epoch: int) -> pd.Series:
        """Return a column of `numbers` at an epoch by seed, without those that are not defined."""
        return self.numbers[self.numbers["epoch"] == epoch].set_index("seed")[column].dropna()

    def mean(self, column: str, epoch: int) -> float:
        """Return its mean over seeds."""
        return float(self.by_seed(column, epoch).mean())


def answer(evidence: Evidence) -> Answer | None:
    """Show the weights against the length of the answers, and how they change over the epochs."""
    found = [
        weights
        for block in evidence.study.blocks
        # Texts are cut into pieces of one length, and this question is about answers of many.
        if not evidence.study.shape(block)
        for method in SYMBOLS
        if (weights := _weights(evidence, block, method)) is not None
    ]
    if not found:
        return None
    seeds = max(weights.numbers["seed"].nunique() for weights in found)
    return Answer(
        findings=under_titles([(weights.block.title(), sentence) for weights in found for sentence in _sentences(weights)]),
        figure=_draw(found),
        alt="The gradient weight of each forget answer against its length at the first, a middle and the last epoch, and box "
        "plots over all epochs.",
        caption="The weight of each forget answer in the gradient: w of NPO (eq. 4) and w' of SimNPO (eq. 6, which holds 1/|y|), "
        "as taken while the epoch passes. Each panel has its own scale. A point is an answer"
        f"{', its weight the mean over seeds' if seeds > 1 else ''}; r is Pearson's between length and weight "
        f"({over_seeds(seeds)}). Boxes hold the middle half of the answers, whiskers 90 %. A weight multiplies the gradient of "
        "an answer's summed log-likelihood, which has one term a token."
        + variants_shown((weights.method, weights.variant) for weights in found),
        numbers=pd.concat([weights.numbers for weights in found], ignore_index=True),
        table=_table(found),
    )


def correlation(lengths: np.ndarray, weights: np.ndarray) -> float:
    """Return Pearson's r; NaN where all lengths or, up to rounding, all weights are the same."""
    greatest = float(np.max(weights))
    if np.ptp(lengths) == 0 or np.ptp(weights) <= EQUAL * greatest:
        return math.nan
    return float(pearsonr(lengths, weights / greatest).statistic)


def _weights(evidence: Evidence, block: Block, method: str) -> Weights | None:
    rows = of_block(evidence.weights, block)
    rows = rows[rows["method"] == method].dropna(subset="weight")
    variant = evidence.watched_variant(block, method, rows["variant"].unique())
    if variant is None:
        return None
    items = rows[rows["variant"] == variant]
    key = block.identity | {"method": method, "variant": variant}
    numbers = [
        key | {"seed": seed, "epoch": epoch} | _statistics(of_epoch)
        for (seed, epoch), of_epoch in items.groupby(["seed", "epoch"])
    ]
    return Weights(block, method, variant, items, pd.DataFrame(numbers, columns=NUMBERS))


def _statistics(items: pd.DataFrame) -> dict[str, float]:
    tokens, weights = items["tokens"].to_numpy(dtype=float), items["weight"].to_numpy(dtype=float)
    shorter = items["id"].isin(halves(items.sort_values(["tokens", "id"])["id"].tolist())[0]).to_numpy()
    # Weights that are all the same, or 0 by underflow, favour nobody.
    is_even = np.ptp(weights) <= EQUAL * weights.max()
    return {
        "answers": len(items),
        "mean": float(weights.mean()),
        **dict(zip(QUANTILES, np.quantile(weights, list(QUANTILES.values())), strict=True)),
        "pearson_r": correlation(tokens, weights),
        "share_shorter_half": _even_share(len(items)) if is_even else float(weights[shorter].sum() / weights.sum()),
    }


def _sentences(weights: Weights) -> list[str]:
    first, last = weights.shown[0], weights.shown[-1]
    if weights.method != "npo":
        return [_favour_sentence(weights), _length_sentence(weights)]
    collapse = [_collapse_sentence(weights, first, last)] if last > first else []
    return [_uniform_sentence(weights, first), *collapse, _length_sentence(weights)]


def _length_sentence(weights: Weights) -> str:
    shares = [f"{weights.mean('share_shorter_half', epoch):.0%} in epoch {epoch}{_r(weights, epoch)}" for epoch in weights.shown]
    seeds = over_seeds(weights.numbers["seed"].nunique())
    return f"Of {weights.label}'s weight the shorter half of the answers gets {joined(shares)} ({seeds})."


def _r(weights: Weights, epoch: int) -> str:
    values = weights.by_seed("pearson_r", epoch)
    return " (all alike)" if values.empty else f" (r = {values.mean():+z.2f})"


def _uniform_sentence(weights: Weights, first: int) -> str:
    low, high = weights.by_seed("p05", first).min(), weights.by_seed("p95", first).max()
    bounds = list(dict.fromkeys((f"{low:.3g}", f"{high:.3g}")))
    between = f"in epoch {first} nine in ten {'lie between' if len(bounds) > 1 else 'are'} {joined(bounds)}"
    between = f"{between}, {in_all(weights.by_seed('p05', first).size)}"
    if low >= 1 - UNIFORM and high <= 1 + UNIFORM:
        return f"As in the paper, {weights.label}'s weights are uniform at first: {between}."
    return f"Unlike in the paper, {weights.label}'s weights are not uniform at first: {between}."


def _collapse_sentence(weights: Weights, first: int, last: int) -> str:
    if weights.mean("median", first) <= 0:
        return f"Most of {weights.label}'s weights are 0 from epoch {first} on."
    median, top = (weights.mean(name, last) / weights.mean(name, first) for name in ("median", "p95"))
    numbers = f"from epoch {first} to {last} the median is multiplied by {median:.2g}, the 95th percentile by {top:.2g}"
    if top < COLLAPSED:
        return f"As in the paper, {weights.label}'s weights collapse together: {numbers}."
    if median < COLLAPSED:
        return f"{weights.label}'s weights collapse, but unlike in the paper not together: {numbers}."
    return f"Unlike in the paper, {weights.label}'s weights do not collapse: {numbers}."


def _favour_sentence(weights: Weights) -> str:
    excess = weights.numbers["share_shorter_half"] - weights.numbers["answers"].map(_even_share)
    signs = [sign_over_seeds(excess[weights.numbers["epoch"] == epoch]) for epoch in weights.shown]
    seeds = weights.numbers["seed"].nunique()
    told = {sign: [str(epoch) for epoch, found in zip(weights.shown, signs, strict=True) if found == sign] for sign in (1, 0, -1)}
    parts = [
        f"{what} in epoch{'s' * (len(told[sign]) > 1)} {joined(told[sign])}"
        for sign, what in ((1, "short answers"), (-1, "long answers"), (0, "neither" if seeds == 1 else "neither in all seeds"))
        if told[sign]
    ]
    favours = f"{joined(parts)}, {in_all(seeds)}"
    if len(told[1]) == len(signs):
        return f"As in the paper, {weights.label} favours {favours}."
    if told[-1]:
        return f"Unlike in the paper, {weights.label} favours {favours}."
    return f"Whether {weights.label} favours short answers is left open: it favours {joined(parts)}."


def _even_share(answers: int) -> float:
    """Return what the shorter half gets of weights that are all the same."""
    return math.ceil(answers / 2) / answers


def _table(found: Sequence[Weights]) -> pd.DataFrame:
    rows = [
        {
            "Method": weights.label,
            "Epoch": str(epoch),
            "Median weight": f"{weights.mean('median', epoch):.3g}",
            "5 % to 95 %": f"{weights.mean('p05', epoch):.3g} to {weights.mean('p95', epoch):.3g}",
            "r with length": format_range(weights.by_seed("pearson_r", epoch), "{:+z.2f}".format, "all alike"),
            "On the shorter half": format_range(weights.by_seed("share_shorter_half", epoch), "{:.0%}".format),
        }
        for weights in found
        for epoch in weights.shown
    ]
    titles = [weights.block.title() for weights in found for _ in weights.shown]
    return table_of(list(zip(titles, rows, strict=True)))


def _draw(found: Sequence[Weights]) -> Figure:
    titles = list(dict.fromkeys(weights.block.title() for weights in found))
    groups = [[weights for weights in found if weights.block.title() == title] for title in titles]
    heights = [0.3 + 2.2 * len(group) for group in groups]
    figure = Figure(figsize=(10.0, sum(heights)))
    wide = max(len(weights.shown) for weights in found)
    for part, group in zip(panel_rows(figure, titles, heights), groups, strict=True):
        grid = part.subplots(len(group), wide + 1, width_ratios=[1.0] * wide + [1.3], squeeze=False)
        for line, weights in enumerate(group):
            is_last = line == len(group) - 1
            for axes in grid[line, len(weights.shown) : wide]:
                axes.set_axis_off()
            for axes, epoch in zip(grid[line], weights.shown, strict=False):
                _draw_scatter(axes, weights, epoch)
                axes.set_xlabel("Tokens of the answer" if is_last else "")
            grid[line, 0].set_ylabel(f"{weights.label}: {SYMBOLS[weights.method]}")
            _draw_boxes(grid[line, wide], weights)
            grid[line, wide].set_xlabel("Epoch" if is_last else "")
    return figure


def _draw_scatter(axes: Axes, weights: Weights, epoch: int) -> None:
    items = weights.items[weights.items["epoch"] == epoch].groupby("id")[["tokens", "weight"]].mean()
    axes.plot(
        items["tokens"],
        items["weight"],
        linestyle="",
        marker="o",
        markersize=3.5,
        markeredgewidth=0,
        color=colour_of(weights.method),
        alpha=0.45,
    )
    axes.set_title(f"Epoch {epoch}", loc="left", color=INK, fontsize=9)
    r = weights.by_seed("pearson_r", epoch)
    axes.set_title("all alike" if r.empty else f"r = {r.mean():+z.2f}", loc="right", color=SOFT, fontsize=8)
    # From zero on: what looks uneven is uneven.
    axes.set_ylim(0, 1.08 * (float(items["weight"].max()) or 1.0))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))


def _draw_boxes(axes: Axes, weights: Weights) -> None:
    samples = [weights.items.loc[weights.items["epoch"] == epoch, "weight"].clip(lower=LEAST) for epoch in weights.epochs]
    colour = colour_of(weights.method)
    axes.boxplot(
        [sample.to_numpy(dtype=float) for sample in samples],
        positions=weights.epochs,
        widths=0.6,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": colour, "edgecolor": colour, "alpha": 0.45},
        whiskerprops={"color": colour},
        capprops={"color": colour},
        medianprops={"color": INK},
    )
    low, high = min(sample.quantile(0.05) for sample in samples), max(sample.quantile(0.95) for sample in samples)
    if high > 30 * low:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.08 * float(high))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.set_title("Over the epochs", loc="left", color=INK, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="x", visible=False)
