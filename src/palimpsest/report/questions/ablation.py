"""What single settings do: forget quality and model utility over a method's trials, and length normalisation without the rest."""

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from palimpsest.report.drawing import (
    draw_seeds,
    draw_spread,
    lowest_tick,
    name_methods,
    score_axis,
    score_height,
)
from palimpsest.report.evidence import Answer, Evidence, Place
from palimpsest.report.names import CHOSEN, DEFAULT, method_name, model_order
from palimpsest.report.rows import finished
from palimpsest.report.study import Values, starts_from
from palimpsest.report.style import INK, SOFT, colour_of, marker_of, size_of
from palimpsest.report.words import (
    QUALITY,
    SCORES,
    UTILITY,
    against_paper,
    both_fail,
    format_quality,
    format_score,
    joined,
    spread,
    under_titles,
    variants_shown,
)

QUESTION = "What do beta, gamma and length normalisation do?"
PAPER = "Figs. A2 and A3"
UNNORMALISED, NORMALISED, SIMPLE = "graddiff", "w-graddiff", "simnpo"
BESIDE = (UNNORMALISED, NORMALISED, "npo", SIMPLE)
# A setting that a trial does not have, or has as null.
ABSENT = "none"
# So many columns leave room for another heat map beside.
SMALL = 4
# Light enough that dark numbers can be read on all of it.
SHADES = LinearSegmentedColormap.from_list("shades", ["#fafbfd", "#66a3d1"])


@dataclass(frozen=True)
class Grid:
    """The trials of one method in one place: `points` has a row a trial, the settings that vary and the means of both scores."""

    place: Place
    method: str
    names: list[str]
    points: pd.DataFrame
    own: list[str]
    """Those of the settings that are the method's own: of its loss, not of training."""
    default: tuple[Any, ...] | None
    """The default's values of the settings that vary, where the study has one."""

    @property
    def label(self) -> str:
        """What the method is called."""
        return method_name(self.method)

    @property
    def heading(self) -> str:
        """What stands above its panels."""
        return f"{self.label}: {joined([_words(name) for name in self.names])}"

    def values(self, name: str) -> list[Any]:
        """Return the values of a setting in their order."""
        return sorted(self.points[name].unique(), key=lambda value: (isinstance(value, str), value))


@dataclass(frozen=True)
class Comparison:
    """The methods that differ in normalisation and weighting, one model each, in one place."""

    place: Place
    models: list[tuple[str, str]]
    heading = "Length normalisation"

    def at(self, metric: str, method: str) -> pd.Series:
        """Return a metric of a method by seed; empty where it is not there."""
        variant = dict(self.models).get(method)
        return self.place.by_seed(metric, method, variant) if variant is not None else pd.Series(dtype=float)


def answer(evidence: Evidence) -> Answer | None:
    """Show what the settings of trials do, and W-GradDiff beside its neighbours; None where neither was run."""
    results = evidence.results
    grids, sentences = [], []
    for place in evidence.places(results[results["attack"] == ""]):
        for method in sorted({*place.block.trials, *place.block.methods}, key=lambda name: model_order(name, "")):
            found = _grid(place, method)
            if isinstance(found, Grid):
                grids.append(found)
                sentences += [(place.title, sentence) for sentence in _ranges(found)]
            elif found:
                sentences.append((place.title, found))
        if foreign := _foreign([grid for grid in grids if grid.place is place]):
            sentences.append((place.title, foreign))
    compared = [each for place in evidence.finished if (each := _comparison(place))]
    if not grids and not compared:
        return None
    # The paper's claim first.
    claims = [(each.place.title, sentence) for each in compared for sentence in _normalisation(each)]
    return Answer(
        findings=under_titles([*claims, *sentences]),
        figure=_draw(grids, compared),
        alt="Forget quality and model utility over the settings that the trials of a method vary, and of W-GradDiff and its kin.",
        caption=_caption(grids, compared),
        numbers=_numbers(grids, compared),
    )


def _grid(place: Place, method: str) -> Grid | str:
    """Return the trials of a method that vary one or two settings; a sentence where they vary more, "" where there are none."""
    trials, named = (_plain(of.get(method, {})) for of in (place.block.trials, place.block.methods))
    more: list[str] = []
    for candidates in ({**named, **trials}, trials):
        settings = {variant: _flat(each) for variant, each in candidates.items() if len(_last(place, method, variant))}
        names = _varying(list(settings.values()))
        if not names:
            continue
        if len(names) > 2:
            more = names
            continue
        default = _flat(named.get(DEFAULT) or trials.get(DEFAULT) or {})
        points = _points(place, method, names, settings)
        at_default = tuple(default[name] for name in names) if all(name in default for name in names) else None
        own = [name for name in names if any(name in (each.get("loss") or {}) for each in candidates.values())]
        return Grid(place, method, names, points, own, at_default)
    varied = joined([_words(name) for name in more]) if more else ""
    return f"The trials of {method_name(method)} vary {varied}: too much at once to say what each does." if more else ""


def _plain(variants: Mapping[str, Values]) -> dict[str, Values]:
    """Return the variants with settings of their own that start from the original and read no other reference."""
    return {name: each for name, each in variants.items() if name != CHOSEN and starts_from(each)}


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of training and loss by name; one that is no number or word as text, null as none."""
    flat = {**(entry.get("training") or {}), **(entry.get("loss") or {})}
    return {
        name: ABSENT if value is None else value if isinstance(value, int | float | str) else json.dumps(value)
        for name, value in flat.items()
    }


def _varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({each.get(name, ABSENT) for each in settings}) > 1]


def _last(place: Place, method: str, variant: str) -> pd.DataFrame:
    """Return the rows of both scores of the finished model, or else of the last epoch of its trajectory in each seed."""
    rows = place.of_model(method, variant)
    rows = rows[rows["metric"].isin(SCORES)]
    done = finished(rows)
    return done if len(done) else rows[rows["epoch"] == rows.groupby("seed")["epoch"].transform("max")]


def _points(place: Place, method: str, names: list[str], settings: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row a trial; of trials with the same settings the first."""
    rows = []
    for variant, values in settings.items():
        scores = _last(place, method, variant)
        means = scores.groupby("metric")["value"].mean().to_dict()
        rows.append(
            {name: values.get(name, ABSENT) for name in names} | {"variant": variant, "seeds": scores["seed"].nunique()} | means
        )
    return pd.DataFrame(rows).drop_duplicates(names).reset_index(drop=True)


def _foreign(grids: Sequence[Grid]) -> str:
    """Name the methods whose trials vary settings of training alone; "" where there are none."""
    trained = [grid for grid in grids if not grid.own]
    if not trained:
        return ""
    settings = joined([_words(name) for name in dict.fromkeys(name for grid in trained for name in grid.names)])
    return f"These models of {joined([grid.label for grid in trained])} differ in {settings} alone, in no setting of the loss."


def _ranges(grid: Grid) -> Iterator[str]:
    """Yield between which trials each score lies and how it goes along each setting, where a setting of the loss varies."""
    if not grid.own:
        return
    parts = [_range(grid, metric) for metric in SCORES if metric in grid.points and grid.points[metric].notna().any()]
    if parts:
        yield f"Over {len(grid.points)} trials of {grid.label} {joined(parts)}."
    for name in grid.own:
        trends = [text for metric in SCORES if metric in grid.points and (text := _trend(grid, name, metric))]
        if trends:
            first, *_, last = grid.values(name)
            yield f"From {name} {_text(first)} to {_text(last)} {grid.label}'s {joined(trends)}."
    if grid.method == SIMPLE and "gamma" in grid.names and QUALITY in grid.points:
        best = grid.points[grid.points["gamma"] != ABSENT].groupby("gamma")[QUALITY].max()
        top = best.index[best == best.max()].tolist()
        # The paper keeps gamma at 0; where all are alike nothing speaks for any.
        if len(best) > len(top):
            agrees = "As" if top == [0] else "Unlike"
            yield f"{agrees} in the paper, SimNPO's forget quality is highest at gamma {joined([_text(gamma) for gamma in top])}."


def _range(grid: Grid, metric: str) -> str:
    """Say between which trials a score lies."""
    known = grid.points.dropna(subset=[metric])
    low, high = known.sort_values(metric, kind="stable").iloc[[0, -1]].to_dict("records")
    least, most = format_score(metric, low[metric]), format_score(metric, high[metric])
    if least == most:
        return f"{SCORES[metric].lower()} is {most} throughout"
    return f"{SCORES[metric].lower()} lies between {least} ({_at(grid, low)}) and {most} ({_at(grid, high)})"


def _at(grid: Grid, row: Mapping[Hashable, Any]) -> str:
    return ", ".join(f"{_words(name)} {_text(row[name])}" for name in grid.names)


def _trend(grid: Grid, name: str, metric: str) -> str:
    """Say how a score changes between the ends of a setting, at each value of the other one; "" where an end is missing."""
    others = [other for other in grid.names if other != name]
    rows = grid.points.assign(all="").pivot_table(index=others or ["all"], columns=name, values=metric)
    values = grid.values(name)
    change = (
        (rows[values[-1]] - rows[values[0]]).dropna() if {values[0], values[-1]} <= set(rows.columns) else pd.Series(dtype=float)
    )
    if change.empty:
        return ""
    score = SCORES[metric].lower()
    words = [(word, count) for word, count in (("rises", int((change > 0).sum())), ("falls", int((change < 0).sum()))) if count]
    if not words:
        return f"{score} stays the same"
    if not others:
        return f"{score} {words[0][0]}"
    other = _words(others[0])
    if len(change) == 1:
        return f"{score} {words[0][0]} at {other} {_text(change.index[0])}"
    if words[0][1] == len(change):
        return f"{score} {words[0][0]} at every {other}"
    return f"{score} {joined([f'{word} at {count} of {len(change)}' for word, count in words])} values of {other}"


def _comparison(place: Place) -> Comparison | None:
    """Return the models to compare; None without W-GradDiff or without any that the paper compares it with."""
    models = [
        (method, variant)
        for method in BESIDE
        if (variant := place.block.standing(method)) is not None and len(place.by_seed(QUALITY, method, variant))
    ]
    methods = {method for method, _ in models}
    return Comparison(place, models) if NORMALISED in methods and methods & {UNNORMALISED, SIMPLE} else None


def _normalisation(of: Comparison) -> Iterator[str]:
    """Yield whether W-GradDiff is above GradDiff, and SimNPO above both; the paper's table has the last of these three."""
    for better, worse, because in (
        (NORMALISED, UNNORMALISED, "length normalisation alone"),
        (SIMPLE, NORMALISED, "the weights that beta adds to it"),
        (SIMPLE, UNNORMALISED, "both together"),
    ):
        if not {better, worse} <= dict(of.models).keys():
            continue
        ours, theirs = of.at(QUALITY, better).align(of.at(QUALITY, worse), join="inner")
        utilities = [format_score(UTILITY, by_seed.mean()) for m in (better, worse) if len(by_seed := of.at(UTILITY, m))]
        cost = f", at model utilities of {joined(utilities)}" if len(utilities) == 2 else ""
        means = ours.mean(), theirs.mean()
        numbers = f"forget quality {format_quality(means[0])} against {format_quality(means[1])}"
        yield against_paper(
            ours - theirs,
            f"{method_name(better)} forgets better than {method_name(worse)} ({because})",
            f"{method_name(better)} does not forget better than {method_name(worse)} ({because})",
            f"{numbers}{both_fail(*means)}{cost}",
            claimed=(better, worse) == (SIMPLE, UNNORMALISED),
        )


def _caption(grids: Sequence[Grid], compared: Sequence[Comparison]) -> str:
    parts = []
    if grids:
        parts.append(
            "Trials: forget quality (left) and model utility (right), means over seeds, of the finished model or else after the "
            "last epoch of its trajectory; outlined: the default setting."
        )
    if compared:
        parts.append("Methods: large marks are means over seeds, bars their range, small marks single seeds, where several.")
    return " ".join(parts) + variants_shown(model for each in compared for model in each.models)


def _draw(grids: Sequence[Grid], compared: Sequence[Comparison]) -> Figure:
    """Draw the grids, two beside each other where they are small, then a row a comparison; each as a pair of panels."""
    wide = 2 if len(grids) > 2 and all(len(grid.values(grid.names[0])) <= SMALL for grid in grids) else 1
    rows: list[list[Grid | Comparison]] = [[*grids[start : start + wide]] for start in range(0, len(grids), wide)]
    rows += [[each] for each in compared]
    heights = [max(map(_height, row)) for row in rows]
    figure = Figure(figsize=(9.0, sum(heights)))
    many = len({each.place.title for row in rows for each in row}) > 1
    qualities = [value for grid in grids if QUALITY in grid.points for value in grid.points[QUALITY].dropna()]
    qualities += [value for each in compared for method, _ in each.models for value in each.at(QUALITY, method)]
    lowest = lowest_tick(qualities)
    parts = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, row in zip(parts, rows, strict=True):
        pair = part.subfigures(1, wide if isinstance(row[0], Grid) else 1, squeeze=False)[0]
        for part_of_row, each in zip(pair, row, strict=False):
            part_of_row.suptitle(
                f"{each.place.title}: {each.heading}" if many else each.heading, x=0.01, ha="left", fontsize=9.5, color=INK
            )
            _draw_grid(part_of_row, each, lowest) if isinstance(each, Grid) else _draw_comparison(part_of_row, each, lowest)
    return figure


def _height(each: Grid | Comparison) -> float:
    """Return the height of a row in inches."""
    if isinstance(each, Grid) and len(each.names) == 2:
        return 1.1 + 0.34 * len(each.values(each.names[1]))
    return 2.7


def _draw_grid(part: SubFigure, grid: Grid, lowest: float) -> None:
    for axes, metric in zip(part.subplots(1, 2), SCORES, strict=True):
        points = grid.points.dropna(subset=[metric]) if metric in grid.points else grid.points.iloc[:0]
        if len(grid.names) == 2:
            _draw_map(axes, grid, metric, points, lowest)
        else:
            _draw_line(axes, grid, metric, points, lowest)


def _draw_map(axes: Axes, grid: Grid, metric: str, points: pd.DataFrame, lowest: float) -> None:
    """Draw a cell a trial: the first setting across, the second upwards."""
    across, up = (grid.values(name) for name in grid.names)
    heights = np.full((len(up), len(across)), np.nan)
    for x, y, value in zip(points[grid.names[0]], points[grid.names[1]], points[metric], strict=True):
        heights[up.index(y), across.index(x)] = score_height(metric, value, lowest)
        axes.text(across.index(x), up.index(y), format_score(metric, value), ha="center", va="center", fontsize=7.5, color=INK)
    # Forget quality has the same colours in all panels; utility, which differs little, those of its own range.
    ends = (score_height(metric, lowest, lowest), 0.0) if metric == QUALITY else (None, None)
    axes.imshow(np.ma.masked_invalid(heights), cmap=SHADES, vmin=ends[0], vmax=ends[1], origin="lower", aspect="auto")
    if grid.default is not None and grid.default[0] in across and grid.default[1] in up:
        corner = (across.index(grid.default[0]) - 0.5, up.index(grid.default[1]) - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.8, clip_on=False, zorder=5))
    axes.set_title(SCORES[metric], loc="left", color=SOFT, fontsize=8.5)
    axes.set_xticks(range(len(across)), [_text(value) for value in across])
    axes.set_yticks(range(len(up)), [_text(value) for value in up])
    axes.set_xlabel(_words(grid.names[0]))
    axes.set_ylabel(_words(grid.names[1]))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_line(axes: Axes, grid: Grid, metric: str, points: pd.DataFrame, lowest: float) -> None:
    """Draw a mark a trial, the values of its setting at even distances; the default's ringed."""
    (name,) = grid.names
    values = grid.values(name)
    known = sorted(
        (values.index(value), score_height(metric, score, lowest))
        for value, score in zip(points[name], points[metric], strict=True)
    )
    x, y = [place for place, _ in known], [height for _, height in known]
    colour, size = colour_of(grid.method), size_of(grid.method)
    axes.plot(x, y, color=colour, marker=marker_of(grid.method), markersize=size * 0.8, linewidth=1.2, clip_on=False, zorder=3)
    if grid.default is not None and grid.default[0] in values and (place := values.index(grid.default[0])) in x:
        ring: dict[str, Any] = {"color": "none", "markeredgecolor": INK, "markeredgewidth": 1.4, "markersize": size + 5}
        axes.plot([place], [y[x.index(place)]], marker="o", linestyle="", clip_on=False, zorder=4, **ring)
    axes.set_xticks(range(len(values)), [_text(value) for value in values])
    axes.set_xlim(-0.4, len(values) - 0.6)
    axes.set_xlabel(_words(name))
    score_axis(axes, metric, lowest)


def _draw_comparison(part: SubFigure, of: Comparison, lowest: float) -> None:
    for axes, metric in zip(part.subplots(1, 2), SCORES, strict=True):
        for x, (method, _) in enumerate(of.models):
            if len(by_seed := of.at(metric, method)):
                draw_spread(axes, x, metric, lowest, method, spread(by_seed))
                draw_seeds(axes, x + 0.1, metric, lowest, method, by_seed)
        name_methods(axes, [method for method, _ in of.models], len(BESIDE))
        axes.set_xlim(-0.5, len(of.models) - 0.5)
        score_axis(axes, metric, lowest)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _numbers(grids: Sequence[Grid], compared: Sequence[Comparison]) -> pd.DataFrame:
    """Return a row a trial (with its settings) or model, and score: the mean over its seeds."""
    rows = []
    for grid in grids:
        for point in grid.points.to_dict("records"):
            settings = ", ".join(f"{name}={_text(point[name])}" for name in grid.names)
            trial = {"method": grid.method, "variant": point["variant"], "settings": settings, "seeds": point["seeds"]}
            rows += [
                grid.place.identity | trial | {"metric": metric, "value": point[metric]} for metric in SCORES if metric in point
            ]
    for each in compared:
        for method, variant in each.models:
            model = {"method": method, "variant": variant, "settings": ""}
            for metric in SCORES:
                if len(by_seed := each.at(metric, method)):
                    values = {"seeds": len(by_seed), "metric": metric, "value": by_seed.mean()}
                    rows.append(each.place.identity | model | values)
    return pd.DataFrame(rows)
