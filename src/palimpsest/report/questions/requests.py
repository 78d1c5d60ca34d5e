"""Larger forget sets, and one request to forget after another: how much of what is to stay is left (MUSE)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from palimpsest.report.drawing import dotted_handle, method_handle, panel_rows
from palimpsest.report.evidence import MUSE, Answer, Evidence, Place
from palimpsest.report.names import REFERENCES, model_label, model_order, standing_variant
from palimpsest.report.questions._texts import BETTER, FIRST, KEPT, KNOWN, LEAK, NAMES, VERBATIM, WORSE
from palimpsest.report.rows import KEY
from palimpsest.report.style import COLOURS, DASHED, DOTTED, INK, colour_of, marker_of, size_of
from palimpsest.report.words import (
    against_paper,
    format_score,
    format_sd,
    joined,
    over_seeds,
    spread,
    table_of,
    under_titles,
    variants_shown,
)

QUESTION = "Does unlearning last: larger forget sets, one request after another?"
PAPER = "Fig. A5"
# What the splits of a kind are called before their number: the heading of its panels, and what is said of its last split.
KINDS = {
    "scale": ("Larger forget sets", "with the largest forget set ({})"),
    "request": ("One request after another", "after the last request ({})"),
}
# Panels below each other, what is to stay first.
PANELS = (KEPT, VERBATIM, KNOWN, LEAK)
LEVELS: dict[str, Any] = {"retrain": DASHED, "original": DOTTED}
# How far apart the marks of methods stand, in splits.
ASIDE = 0.06

Model = tuple[str, str]


@dataclass(frozen=True)
class Way:
    """The splits of one kind of one benchmark and model in their order, the first forget set before them where it was scored."""

    kind: str
    places: list[Place]

    @property
    def title(self) -> str:
        """What it is of."""
        of = self.places[-1]
        return " / ".join((of.block.benchmark, of.block.model, *([of.suite] if of.suite not in ("", of.block.benchmark) else [])))

    @property
    def splits(self) -> list[str]:
        """The names of its splits."""
        return [place.block.split for place in self.places]

    @property
    def end(self) -> str:
        """Where it ends, in words."""
        return KINDS[self.kind][1].format(self.splits[-1])

    @cached_property
    def models(self) -> list[Model]:
        """The methods that went further than the first forget set, each with the variant that has most splits."""
        methods = {str(method) for place in self.places for method in place.rows["method"]} - {*REFERENCES}
        ordered = sorted(methods, key=lambda method: model_order(method, ""))
        return [(method, variant) for method in ordered if (variant := self._variant(method)) is not None]

    def at_end(self, metric: str, model: Model) -> pd.Series:
        """Return a metric of a model on the last split, by seed."""
        return self.places[-1].by_seed(metric, *model)

    def level(self, role: str, metric: str) -> float | None:
        """Return the mean over seeds of Original's or Retrain's metric, whom the first forget set shares with all others."""
        known = [values for place in self.places if len(values := place.by_seed(metric, role))]
        return float(known[0].mean()) if known else None

    def _variant(self, method: str) -> str | None:
        names = {name for place in self.places for name in place.block.variants_of(method)}
        splits = {
            name: [place.block.split for place in self.places if len(place.of_model(method, name))] for name in sorted(names)
        }
        counts = {name: len(found) for name, found in splits.items() if {*found} - {FIRST}}
        return standing_variant(name for name, count in counts.items() if count == max(counts.values()))


def answer(evidence: Evidence) -> Answer | None:
    """Follow methods over larger forget sets and over requests; None where a study has neither."""
    ways = list(_ways(evidence))
    if not ways:
        return None
    titles = list(dict.fromkeys(way.title for way in ways))
    first = [(title, _most([way for way in ways if way.title == title])) for title in titles]
    return Answer(
        findings=under_titles([*first, *((way.title, text) for way in ways for text in _sentences(way) if text)]),
        figure=_draw(titles, ways),
        alt="KnowMem on the retain set, VerbMem and KnowMem on the forget set and PrivLeak of each method, over larger forget "
        "sets and over requests.",
        caption=_caption(ways),
        numbers=_numbers(ways),
        table=_table(titles, ways),
    )


def _ways(evidence: Evidence) -> Iterator[Way]:
    groups: dict[tuple[str, str, str], dict[str, Place]] = {}
    for place in evidence.texts(MUSE):
        groups.setdefault((place.block.benchmark, place.block.model, place.suite), {})[place.block.split] = place
    for places in groups.values():
        for kind in KINDS:
            numbers = sorted(int(split.removeprefix(kind)) for split in places if re.fullmatch(rf"{kind}\d+", split))
            splits = [FIRST, *(f"{kind}{number}" for number in numbers)]
            way = Way(kind, [places[split] for split in splits if split in places])
            if numbers and way.models:
                yield way


def _means(way: Way, metric: str) -> dict[Model, float]:
    """Return the means on the last split of the methods that got there."""
    return {model: float(values.mean()) for model in way.models if len(values := way.at_end(metric, model))}


def _most(ways: Sequence[Way]) -> str:
    """Say who has most KnowMem on the retain set at the end of each way."""
    parts, score = [], "KnowMem on the retain set"
    for way in ways:
        means, original = _means(way, KEPT), way.level("original", KEPT)
        if not means:
            continue
        most = max(means.values())
        best = joined([model_label(*model) for model, mean in means.items() if mean == most])
        whose = f"the most {score} is that of {best}," if len(means) > 1 else f"{best}'s {score} is"
        beside = f" of Original's {format_score(KEPT, original)}" if original is not None else ""
        parts.append(f"{way.end} {whose} {format_score(KEPT, most)}{beside}")
    if not parts:
        return "What is left of the retain set is not known: no method has a KnowMem of it on the last split."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _sentences(way: Way) -> Iterator[str]:
    yield _pair(way)
    yield _course(way)
    yield _forgotten(way)


def _pair(way: Way) -> str:
    """Say whether SimNPO keeps more than NPO at the end; "" where not both got there."""
    variants = dict(way.models)
    if not {BETTER, WORSE} <= variants.keys():
        return ""
    values = [way.at_end(KEPT, (method, variants[method])) for method in (BETTER, WORSE)]
    ours, theirs = values[0].align(values[1], join="inner")
    return against_paper(
        ours - theirs,
        f"SimNPO keeps more KnowMem on the retain set than NPO {way.end}",
        f"SimNPO keeps less KnowMem on the retain set than NPO {way.end}",
        f"{format_score(KEPT, ours.mean())} against {format_score(KEPT, theirs.mean())}",
        claimed=False,
    )


def _course(way: Way) -> str:
    """Say from where to where KnowMem on the retain set goes."""
    parts, seeds = [], 0
    for model, mean in _means(way, KEPT).items():
        before = way.places[0].by_seed(KEPT, *model)
        if len(before) and len(way.places) > 1:
            seeds = max(seeds, len(before))
            parts.append(f"from {format_score(KEPT, before.mean())} to {format_score(KEPT, mean)} for {model_label(*model)}")
    ends = f"From {way.splits[0]} to {way.splits[-1]}"
    return f"{ends} KnowMem on the retain set goes {joined(parts)} ({over_seeds(seeds)})." if parts else ""


def _forgotten(way: Way) -> str:
    """Say what is still recited of the first forget set at the end."""
    means = _means(way, VERBATIM)
    if not means:
        return ""
    stand = [f"{format_score(VERBATIM, mean)} for {model_label(*model)}" for model, mean in means.items()]
    retrain = way.level("retrain", VERBATIM)
    beside = f" (Retrain: {format_score(VERBATIM, retrain)})" if retrain is not None else ""
    return f"VerbMem on the first forget set {way.end} is {joined(stand)}{beside}."


def _caption(ways: Sequence[Way]) -> str:
    several = any(len(place.by_seed(KEPT, *model)) > 1 for way in ways for model in way.models for place in way.places)
    kinds = {way.kind for way in ways}
    parts = [
        "Every model is asked about the retain set and the first forget set, whatever it unlearned.",
        *(["Each larger forget set holds the one before it."] if "scale" in kinds else []),
        *(["Each request starts from the model that the one before it left."] if "request" in kinds else []),
        "Marks: means over seeds, bars: their range." if several else "Bars: 95 % bootstrap intervals over the items.",
        "A PrivLeak of 0 is Retrain's; below, the first forget set is still remembered, above, over-forgotten.",
    ]
    return " ".join(parts) + variants_shown(model for way in ways for model in way.models)


def _table(titles: Sequence[str], ways: Sequence[Way]) -> pd.DataFrame:
    """Return a row a method: KnowMem on the retain set on every split, mean ± sd over seeds."""
    rows = []
    for title in titles:
        of_title = [way for way in ways if way.title == title]
        for model in sorted({model for way in of_title for model in way.models}, key=lambda model: model_order(*model)):
            values = {place.block.split: place.by_seed(KEPT, *model) for way in of_title for place in way.places}
            heads = {f"{NAMES[KEPT]}: {split}" if split == FIRST else split: of for split, of in values.items()}
            row = {head: _with_sd(of) for head, of in heads.items()}
            rows.append((title, {"Method": model_label(*model)} | row))
    return table_of(rows)


def _with_sd(values: pd.Series) -> str:
    if values.empty:
        return ""
    sd = f" ± {format_sd(KEPT, values.mean(), values.std())}" if len(values) > 1 else ""
    return f"{format_score(KEPT, values.mean())}{sd}"


def _numbers(ways: Sequence[Way]) -> pd.DataFrame:
    rows = []
    for way in ways:
        for place in way.places:
            of = place.rows[place.rows["metric"].isin(NAMES)]
            models = [pair in way.models for pair in zip(of["method"], of["variant"], strict=True)]
            rows.append(of[models].assign(kind=way.kind))
    return pd.concat(rows, ignore_index=True)[["kind", *KEY, "seed", "method", "variant", "suite", "metric", "value"]]


def _draw(titles: Sequence[str], ways: Sequence[Way]) -> Figure:
    """Draw a row of panels a score and a column a kind of splits, for each benchmark and model."""
    shown = {
        title: [metric for metric in PANELS if any(len(_means(way, metric)) for way in ways if way.title == title)]
        for title in titles
    }
    heights = [0.9 + 1.55 * max(len(metrics), 1) for metrics in shown.values()]
    wide = max(sum(way.title == title for way in ways) for title in titles)
    figure = Figure(figsize=(2.2 + 3.6 * wide, sum(heights)))
    for title, part in zip(titles, panel_rows(figure, titles, heights), strict=True):
        _draw_ways(part, [way for way in ways if way.title == title], shown[title])
    methods = sorted({model[0] for way in ways for model in way.models}, key=lambda method: model_order(method, ""))
    handles = [method_handle(method, scale=0.8) for method in methods]
    handles.append(Line2D([], [], color=COLOURS["retrain"], linestyle=DASHED, linewidth=0.9, label="Retrain"))
    handles.append(dotted_handle("original"))
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _draw_ways(part: SubFigure, ways: Sequence[Way], metrics: Sequence[str]) -> None:
    grid = part.subplots(len(metrics), len(ways), sharex="col", sharey="row", squeeze=False)
    for line, metric in zip(grid, metrics, strict=True):
        line[0].set_ylabel(NAMES[metric].replace(", ", ",\n"))
        for axes, way in zip(line, ways, strict=True):
            _draw_panel(axes, way, metric)
    for axes, way in zip(grid[0], ways, strict=True):
        axes.set_title(KINDS[way.kind][0], loc="left", color=INK, pad=8)
    part.align_ylabels(list(grid[:, 0]))


def _draw_panel(axes: Axes, way: Way, metric: str) -> None:
    for role, style in LEVELS.items():
        level = way.level(role, metric)
        if level is not None:
            axes.axhline(level, color=colour_of(role), linestyle=style, linewidth=0.9, zorder=1)
    for place, model in enumerate(way.models):
        aside = (place - (len(way.models) - 1) / 2) * ASIDE
        known = [(x + aside, of, values) for x, of in enumerate(way.places) if len(values := of.by_seed(metric, *model))]
        look: dict[str, Any] = {"color": colour_of(model[0]), "clip_on": False}
        for x, of, values in known:
            axes.plot(
                [x, x], _ends(of, metric, model, values), linewidth=2.2, alpha=0.35, solid_capstyle="butt", zorder=2, **look
            )
        axes.plot(
            [x for x, *_ in known],
            [values.mean() for *_, values in known],
            linewidth=1.4,
            marker=marker_of(model[0]),
            markersize=size_of(model[0]) * 0.7,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=3,
            **look,
        )
    axes.set_xticks(range(len(way.places)), way.splits)
    axes.set_xlim(-0.3, len(way.places) - 0.7)
    axes.margins(y=0.12)
    if metric != LEAK:
        axes.set_ylim(bottom=0)


def _ends(place: Place, metric: str, model: Model, values: pd.Series) -> tuple[float, float]:
    """Return the range over seeds, or the interval over items of one seed where there is one."""
    if len(values) == 1:
        ends = [place.by_seed(f"{metric}_{end}", *model) for end in ("low", "high")]
        if all(len(end) for end in ends):
            return float(ends[0].iloc[0]), float(ends[1].iloc[0])
    return spread(values)[1:]
