"""Markov chains, whose truth is known: how far two of them are forgotten, and how far the retain chain goes with them."""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from palimpsest.markov.tradeoff import POINTS, equal_retain, forget_at_retain, mean_gap, retain_at_forget
from palimpsest.report.drawing import method_handle
from palimpsest.report.evidence import FORGET1, FORGET2, RETAIN, Answer, Evidence, Place
from palimpsest.report.names import method_name, model_label, model_order, standing_variant
from palimpsest.report.rows import along_trajectories, finished
from palimpsest.report.style import DASHED, INK, colour_of, marker_of, size_of
from palimpsest.report.words import (
    against_paper,
    format_range,
    in_all,
    joined,
    over_seeds,
    sign_over_seeds,
    table_of,
    under_titles,
    variants_shown,
    verdict,
)

QUESTION = "Do Markov chains show the same, where the truth is known?"
PAPER = "Sec. 5, Fig. 5 and App. H"
MORE, LESS = "npo", "simnpo"
ROLES = ("retrain", "original")
FORGET = {FORGET1: "Forget1", FORGET2: "Forget2"}
LINES: dict[str, Any] = {FORGET1: "-", FORGET2: DASHED}
DISTANCES = [RETAIN, *FORGET]
# Columns of the numbers: Retrain's levels, the retain distance at each, the largest retain distance that NPO and SimNPO both
# reach, how far each chain is forgotten there, and how far the two are apart on average on the way there.
LEVEL = {FORGET1: "retrain_forget1", FORGET2: "retrain_forget2"}
AT_LEVEL = {FORGET1: "retain_at_retrain_forget1", FORGET2: "retain_at_retrain_forget2"}
EQUAL, AT_EQUAL, GAP = "equal_retain", ("forget1_at_equal", "forget2_at_equal"), "mean_gap"
TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100, 200, 500)
# Of the length of an axis, ticks are so far apart at least.
APART = 0.07

Model = tuple[str, str]
Paths = dict[Model, dict[Hashable, pd.DataFrame]]


@dataclass(frozen=True)
class Claim:
    """What the paper says on one of its splits: that NPO's number is larger than SimNPO's."""

    column: str
    text: str
    contrary: str
    data: str
    """How the two forget chains differ there."""


CLAIMS = {
    "lengths": Claim(
        AT_LEVEL[FORGET2],
        "NPO pays a larger retain distance than SimNPO to forget Forget2 as far as Retrain",
        "NPO pays a smaller retain distance than SimNPO to forget Forget2 as far as Retrain",
        "the sequences of Forget2 are shorter",
    ),
    "memorisation": Claim(
        GAP,
        "NPO forgets the learnt Forget1 and the unlearnt Forget2 less evenly than SimNPO",
        "NPO forgets the learnt Forget1 and the unlearnt Forget2 more evenly than SimNPO",
        "the original has never seen Forget2",
    ),
}


@dataclass(frozen=True)
class Chains:
    """One block: `paths` of its models by seed (a row an iteration), `done` the finished ones, `numbers` a row a path."""

    place: Place
    done: Place
    paths: Paths
    shown: list[Model]
    """Those that stand for their methods."""
    numbers: pd.DataFrame

    @property
    def claim(self) -> Claim | None:
        """What the paper says on this split."""
        return CLAIMS.get(self.place.block.split)

    def by_seed(self, column: str, model: Model) -> pd.Series:
        """Return a column of `numbers` of one model by seed."""
        rows = self.numbers[(self.numbers["method"] == model[0]) & (self.numbers["variant"] == model[1])]
        return rows.set_index("seed")[column]

    def pair(self, column: str) -> pd.DataFrame:
        """Return a column for NPO and SimNPO over the seeds that can have both; NaN where a path does not get there."""
        variants = dict(self.shown)
        if not {MORE, LESS} <= variants.keys():
            return pd.DataFrame(columns=[MORE, LESS], dtype=float)
        both = pd.concat({name: self.by_seed(column, (name, variants[name])) for name in (MORE, LESS)}, axis=1, join="inner")
        needed = self.done.by_seed(FORGET2, "retrain").index if column == AT_LEVEL[FORGET2] else both.index
        return both[both.index.isin(needed)]


def answer(evidence: Evidence) -> Answer | None:
    """Compare what methods forget with what it costs; None where no model of Markov chains was watched."""
    found = [chains for place in evidence.chains if (chains := _chains(place))]
    if not found:
        return None
    found.sort(key=lambda of: [*CLAIMS, of.place.block.split].index(of.place.block.split))
    return Answer(
        findings=[_verdict(found), *under_titles([(of.place.title, sentence) for of in found for sentence in _sentences(of)])],
        figure=_draw(found),
        alt="Forget distance on both forget chains against the retain distance, two lines a method, beside Retrain and Original.",
        caption=_caption(found),
        numbers=pd.concat([of.numbers for of in found], ignore_index=True),
        table=table_of([(of.place.title, _line(of, model)) for of in found for model in of.paths]),
    )


def _chains(place: Place) -> Chains | None:
    rows = along_trajectories(place.rows)
    wide = rows.pivot_table(values="value", index=["method", "variant", "seed", "epoch"], columns="metric")
    paths: Paths = {}
    for (method, variant, seed), path in wide.reindex(columns=DISTANCES).dropna().groupby(level=["method", "variant", "seed"]):
        paths.setdefault((str(method), str(variant)), {})[seed] = path
    paths = dict(sorted(paths.items(), key=lambda item: model_order(*item[0])))
    shown = [
        (method, variant)
        for method in dict.fromkeys(method for method, _ in paths)
        if (variant := standing_variant(name for name in place.block.variants_of(method) if (method, name) in paths)) is not None
    ]
    if not shown:
        return None
    done = Place(place.block, place.suite, finished(place.rows))
    return Chains(place, done, paths, shown, _numbers(done, paths, shown))


def _numbers(done: Place, paths: Paths, shown: Sequence[Model]) -> pd.DataFrame:
    """Return a row a path: Retrain's levels, the retain distances there, how far is forgotten at the equal retain distance."""
    levels = {forget: done.by_seed(forget, "retrain") for forget in FORGET}
    rivals = [paths[model] for model in shown if model[0] in (MORE, LESS)]
    rows = []
    for (method, variant), by_seed in paths.items():
        for seed, path in by_seed.items():
            has_both = len(rivals) == 2 and all(seed in rival for rival in rivals)
            equal = equal_retain(*(rival[seed][RETAIN] for rival in rivals)) if has_both else math.nan
            row: dict[str, Any] = done.block.identity | {"seed": seed, "method": method, "variant": variant}
            for forget, by in levels.items():
                row[LEVEL[forget]] = level = float(by.get(seed, math.nan))
                row[AT_LEVEL[forget]] = retain_at_forget(path[RETAIN], path[forget], level)
            at_equal = [forget_at_retain(path[RETAIN], path[forget], equal) for forget in FORGET]
            gap = mean_gap(path[RETAIN], path[FORGET1], path[FORGET2], equal)
            rows.append(row | dict(zip((EQUAL, *AT_EQUAL, GAP), (equal, *at_equal, gap), strict=True)))
    return pd.DataFrame(rows)


def _verdict(found: Sequence[Chains]) -> str:
    """Say in short what becomes of the paper's claims; one that several blocks test holds where it holds in all of them."""
    claims = [(of.claim.text, _sign(of, of.claim)) for of in found if of.claim]
    if not claims:
        return f"The paper's claims are left open: they are about the splits {joined([*CLAIMS])}, and neither was run."
    return verdict(claims)


def _sign(of: Chains, claim: Claim) -> int:
    """Return 1 or -1 if all of several seeds are for the claim or against it, else 0; a path that never gets there is neither."""
    pair = of.pair(claim.column)
    return sign_over_seeds(pair[MORE] - pair[LESS]) if len(pair) > 1 else 0


def _sentences(of: Chains) -> Iterator[str]:
    if of.claim:
        yield _claim_sentence(of, of.claim)
    levels = [f"{method_name(role)} stands at {where}" for role in ROLES if (where := _stand(of, role))]
    if levels:
        yield f"{'; '.join(levels)}."


def _claim_sentence(of: Chains, claim: Claim) -> str:
    pair = of.pair(claim.column)
    if not {MORE, LESS} <= dict(of.shown).keys():
        return f"Whether {claim.text} is left open: not both were watched."
    if short := [_never(method, pair[method]) for method in (MORE, LESS) if pair[method].isna().any()]:
        return f"Whether {claim.text} is left open: {joined(short)}."
    ours, theirs = (_text(float(pair[name].mean())) for name in (MORE, LESS))
    numbers = f"{ours} against {theirs}"
    if claim.column == GAP:
        at = format_range(of.pair(EQUAL)[MORE], _text)
        numbers = f"over the retain distances that both reach, to {at}, the two are {ours} apart for NPO, {theirs} for SimNPO"
    return against_paper(pair[MORE] - pair[LESS], claim.text, claim.contrary, numbers)


def _never(method: str, by_seed: pd.Series) -> str:
    never, seeds = int(by_seed.isna().sum()), len(by_seed)
    return f"{method_name(method)} never forgets that far {in_all(seeds) if never == seeds else f'in {never} of {seeds} seeds'}"


def _stand(of: Chains, role: str) -> str:
    """Say how far a finished model is from the truth; "" where it was not measured."""
    values = [of.done.by_seed(metric, role) for metric in DISTANCES]
    if any(by_seed.empty for by_seed in values):
        return ""
    retain, *forget = (_text(float(by_seed.mean())) for by_seed in values)
    there = joined([f"{distance} on {name}" for distance, name in zip(forget, FORGET.values(), strict=True)])
    return f"{there}, at a retain distance of {retain} ({over_seeds(len(values[0]))})"


def _text(distance: float) -> str:
    return f"{distance:.3f}"


def _caption(found: Sequence[Chains]) -> str:
    claims = {of.place.block.split: of.claim for of in found if of.claim}
    watched = pd.concat([along_trajectories(of.place.rows) for of in found])
    errors = watched.loc[watched["metric"].isin([f"{metric}_se" for metric in DISTANCES]), "value"]
    parts = [
        "The distance from the truth after each iteration of unlearning: mean KL(true ‖ predicted) per predicted state, in nats; "
        "the axes show its root. Rightwards less is kept, upwards more is forgotten.",
        *(f"In {split} {claim.data}." for split, claim in claims.items()),
        "Lines: means over seeds of each seed's path, read where it first is at a retain distance, as far as all seeds get; "
        "bands: from the lowest to the highest."
        if any(len(by_seed) > 1 for of in found for by_seed in of.paths.values())
        else "A path is read where it first is at a retain distance.",
        "Dashed level: Retrain's on Forget2.",
    ]
    if any(_is_marked(of) for of in found):
        parts.append("Marks on it: the retain distances at which it is reached.")
    if len(errors):
        parts.append(f"Standard error of a distance over the test sequences: {_text(errors.max())} at most.")
    return " ".join(parts) + variants_shown(model for of in found for model in of.shown)


def _line(of: Chains, model: Model) -> dict[str, str]:
    """Return what is read off the paths of a model as text: mean ± sd over the seeds that get there, with their number."""
    row = {"Model": model_label(*model), "Seeds": str(len(of.paths[model]))}
    for forget, name in FORGET.items():
        known = of.by_seed(LEVEL[forget], model).notna()
        row[f"Retain distance at Retrain's {name}"] = _spread(of.by_seed(AT_LEVEL[forget], model)[known])
    equal = of.by_seed(EQUAL, model)
    row["Retain distance that both reach"] = _spread(equal.dropna())
    row["Forget1 and Forget2 apart on the way"] = _spread(of.by_seed(GAP, model)[equal.notna()])
    return row


def _spread(by_seed: pd.Series) -> str:
    reached = by_seed.dropna()
    if reached.empty:
        return "never" if len(by_seed) else ""
    sd = f" ± {_text(reached.std())}" if len(reached) > 1 else ""
    few = f" ({len(reached)} of {len(by_seed)})" if len(reached) < len(by_seed) else ""
    return f"{_text(reached.mean())}{sd}{few}"


def _draw(found: Sequence[Chains]) -> Figure:
    """Draw a panel a block, two in a row."""
    columns, rows = min(len(found), 2), math.ceil(len(found) / 2)
    figure = Figure(figsize=(1.8 + 4.2 * columns, 3.9 * rows))
    for index, of in enumerate(found):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_title(of.place.title, loc="left", color=INK, pad=10)
        _draw_references(axes, of)
        for model in of.shown:
            _draw_paths(axes, of, model)
        _root_scale(axes)
        axes.set_xlabel("Retain distance (KL, nats)")
        axes.set_ylabel("Forget distance (KL, nats)")
    methods = sorted({method for of in found for method, _ in of.shown}, key=lambda method: model_order(method, ""))
    handles = [method_handle(method, scale=0.8) for method in methods]
    handles += [Line2D([], [], color=INK, linestyle=LINES[forget], label=name) for forget, name in FORGET.items()]
    handles += [
        Line2D([], [], label=f"{method_name(role)}, {name}", **_look(role, forget))
        for role in ROLES
        if any(_stand(of, role) for of in found)
        for forget, name in FORGET.items()
    ]
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _look(role: str, forget: str) -> dict[str, Any]:
    """Return the mark of a finished model: a full one for Forget1, and for Forget2 an open one that can be seen behind it."""
    colour, is_full = colour_of(role), forget == FORGET1
    size = size_of(role) * (0.7 if is_full else 1.1)
    face = colour if is_full else "white"
    return {"linestyle": "", "marker": marker_of(role), "markersize": size, "color": colour, "markerfacecolor": face}


def _draw_references(axes: Axes, of: Chains) -> None:
    """Draw Retrain and Original, and Retrain's level on Forget2."""
    level = of.done.by_seed(FORGET2, "retrain")
    if len(level):
        axes.axhline(level.mean(), color=colour_of("retrain"), linestyle=DASHED, linewidth=0.9, zorder=1)
    for role in ROLES:
        if _stand(of, role):
            means = {metric: float(of.done.by_seed(metric, role).mean()) for metric in DISTANCES}
            for forget in reversed(FORGET):
                axes.plot([means[RETAIN]], [means[forget]], clip_on=False, zorder=4, **_look(role, forget))


def _draw_paths(axes: Axes, of: Chains, model: Model) -> None:
    """Draw the mean path of a model on both forget chains over the retain distances that all seeds reach."""
    paths, colour = list(of.paths[model].values()), colour_of(model[0])
    first, last = max(path[RETAIN].iloc[0] for path in paths), equal_retain(*(path[RETAIN] for path in paths))
    grid = np.linspace(first, last, POINTS) if first < last else np.array([])
    for forget, style in LINES.items():
        heights = np.array([[forget_at_retain(path[RETAIN], path[forget], at) for at in grid] for path in paths])
        axes.plot(grid, heights.mean(axis=0), color=colour, linestyle=style, linewidth=1.7, zorder=3)
        if len(paths) > 1:
            axes.fill_between(grid, heights.min(axis=0), heights.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    there = of.by_seed(AT_LEVEL[FORGET2], model)
    if _is_marked(of) and there.notna().all():
        level = of.by_seed(LEVEL[FORGET2], model).mean()
        size = size_of(model[0]) * 0.8
        axes.plot(
            [there.mean()], [level], color=colour, marker=marker_of(model[0]), markersize=size, markeredgecolor="white", zorder=5
        )


def _is_marked(of: Chains) -> bool:
    """Return whether the paper's claim is about where paths reach Retrain's level."""
    return of.claim is not None and of.claim.column == AT_LEVEL[FORGET2]


def _root_scale(axes: Axes) -> None:
    """Let both axes show the root of a divergence, which grows as a distance does: from where Retrain is to far beyond."""
    for axis, limits, scale in ((axes.xaxis, axes.set_xlim, axes.set_xscale), (axes.yaxis, axes.set_ylim, axes.set_yscale)):
        end = max(axis.get_data_interval()[1] * 1.05, TICKS[1])
        limits(0, end)
        scale("function", functions=(lambda values: np.sqrt(np.maximum(values, 0)), np.square))
        ticks = [0.0]
        for tick in TICKS:
            if tick <= end and math.sqrt(tick) - math.sqrt(ticks[-1]) >= APART * math.sqrt(end):
                ticks.append(tick)
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
