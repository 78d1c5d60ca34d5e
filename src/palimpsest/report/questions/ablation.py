"""What single settings do: both scores over a method's trials, and length normalisation without the rest."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from palimpsest.names import DEFAULT, SELECTED
from palimpsest.report.claims import Claim, Pair, each
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, axis_of, metric_panels, stacked
from palimpsest.report.names import GRADDIFF, NPO, SIMNPO, W_GRADDIFF, method_name, model_order
from palimpsest.report.question import Answer, Question
from palimpsest.report.rows import finished
from palimpsest.report.study import Values, starts_from
from palimpsest.report.words import QUALITY, SCORES, format_score, joined, table_of, under_titles

BESIDE = (GRADDIFF, W_GRADDIFF, NPO, SIMNPO)
# A setting that a trial does not have, or has as null.
ABSENT = "none"


@dataclass(frozen=True)
class Trials:
    """The trials of one method in one place that vary one or two settings: `points` has a row per trial, seed and score."""

    place: Place
    method: str
    names: list[str]
    points: pd.DataFrame
    default: Mapping[str, Any]

    def values(self, name: str) -> list[Any]:
        """Return the values of a setting in their order."""
        return sorted(self.points[name].unique(), key=lambda value: (isinstance(value, str), value))


def trials(evidence: Evidence) -> Iterator[Trials]:
    """Yield the trials of every method and place; those that vary more than two settings have no points."""
    results = evidence.results
    for place in evidence.places(results[results["attack"] == ""], *SCORES):
        for method in sorted({*place.block.trials, *place.block.methods}, key=model_order):
            found = list(_trials(place, method))
            yield from next(([each] for each in found if len(each.points)), found[:1])


def _trials(place: Place, method: str) -> Iterator[Trials]:
    """Yield the trials of the named variants and the grid, and of the grid alone."""
    grid, named = (_plain(of.get(method, {})) for of in (place.block.trials, place.block.methods))
    for candidates in ({**named, **grid}, grid):
        settings = {variant: _flat(each) for variant, each in candidates.items() if len(_last(place, method, variant))}
        keys = dict.fromkeys(name for each in settings.values() for name in each)
        names = [name for name in keys if len({each.get(name, ABSENT) for each in settings.values()}) > 1]
        default = _flat(named.get(DEFAULT) or grid.get(DEFAULT) or {})
        points = _points(place, method, names, settings) if len(names) <= 2 else pd.DataFrame()
        if names:
            yield Trials(place, method, names, points, default)


def _plain(variants: Mapping[str, Values]) -> dict[str, Values]:
    """Return the variants with settings of their own that start from the original and read no other reference."""
    return {name: each for name, each in variants.items() if name != SELECTED and starts_from(each)}


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of training and loss by name; one that is no number or word as text, null as none."""
    flat = {**(entry.get("training") or {}), **(entry.get("loss") or {})}
    return {
        name: ABSENT if value is None else value if isinstance(value, int | float | str) else json.dumps(value)
        for name, value in flat.items()
    }


def _last(place: Place, method: str, variant: str) -> pd.DataFrame:
    """Return the rows of both scores of the finished model, or else of the last epoch of its trajectory in each seed."""
    rows = place.of_model(method, variant)
    rows = rows[rows["metric"].isin(SCORES)]
    done = finished(rows)
    return done if len(done) else rows[rows["epoch"] == rows.groupby("seed")["epoch"].transform("max")]


def _points(place: Place, method: str, names: list[str], settings: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per trial, seed and score; of trials with the same settings the first."""
    trials: dict[tuple[Any, ...], str] = {}
    for variant, values in settings.items():
        trials.setdefault(tuple(values.get(name, ABSENT) for name in names), variant)
    rows = []
    for point, variant in trials.items():
        text = ", ".join(f"{name}={_text(value)}" for name, value in zip(names, point, strict=True))
        own = _last(place, method, variant)[["variant", "seed", "metric", "value"]]
        rows.append(own.assign(**dict(zip(names, point, strict=True)), method=method, settings=text))
    return stacked(rows)


@dataclass(frozen=True)
class Beside:
    """W-GradDiff beside the methods that the paper compares it with, in one place, as `points` of trials."""

    place: Place
    points: pd.DataFrame


def _beside(evidence: Evidence) -> Iterator[Beside]:
    for place in evidence.finished(QUALITY):
        models = [
            (method, variant)
            for method in BESIDE
            if (variant := place.block.standing(method)) is not None and len(place.by_seed(QUALITY, method, variant))
        ]
        methods = {method for method, _ in models}
        if W_GRADDIFF in methods and methods & {GRADDIFF, SIMNPO}:
            yield Beside(place, stacked(place.points(metric, models).assign(metric=metric, settings="") for metric in SCORES))


def _find(evidence: Evidence) -> Iterator[Trials | Beside]:
    yield from trials(evidence)
    yield from _beside(evidence)


def _show(evidence: Evidence, found: list[Trials | Beside]) -> Answer | None:
    shown = [of for of in found if len(of.points)]
    if not shown:
        return None
    grids = [of for of in shown if isinstance(of, Trials)]
    rows = [_panels(of) for of in shown]
    return Answer(
        figure=Grid(rows, wide=2, height=2.4),
        alt="Forget quality and model utility over the settings that the trials of a method vary, and of W-GradDiff and its kin.",
        caption="Trials: means over seeds of the finished model, or else after the last epoch of its trajectory; outlined: the "
        "default setting. Length normalisation is what tells W-GradDiff from GradDiff; beta adds weights to it in SimNPO.",
        numbers=stacked(_means(of.points, of.place) for of in shown),
        table=table_of([(of.place.title, row) for of in grids for row in _rows(of)]),
        facts=under_titles([(of.place.title, _too_many(of)) for of in found if isinstance(of, Trials) and of.points.empty]),
    )


def _too_many(of: Trials) -> str:
    names = joined([_words(name) for name in of.names])
    return f"The trials of {method_name(of.method)} vary {names}: too many settings to draw."


def _panels(of: Trials | Beside) -> tuple[str, Sequence[Panel]]:
    if isinstance(of, Beside):
        return f"{of.place.title}: length normalisation", metric_panels("dots", of.points, SCORES)
    return f"{of.place.title}: {method_name(of.method)}", list(_maps(of))


def _maps(of: Trials) -> Iterator[Panel]:
    values = [of.values(name) for name in of.names]
    for metric, title in SCORES.items():
        points = of.points[of.points["metric"] == metric].assign(variant="")
        places = [points[name].map(known.index) for name, known in zip(of.names, values, strict=True)]
        axes = [Axis(_words(name), names=[_text(value) for value in known]) for name, known in zip(of.names, values, strict=True)]
        default = [
            known.index(of.default[name]) for name, known in zip(of.names, values, strict=True) if of.default.get(name) in known
        ]
        ring: list[tuple[float, float]] = []
        if points.empty:
            continue
        if len(of.names) == 2:
            cells = points.assign(x=places[0], y=places[1]).groupby(["x", "y"], as_index=False)["value"].mean()
            ring = [(default[0], default[1])] if len(default) == 2 else []
            data = cells.assign(method=of.method, variant="", seed=0)
            shade = axis_of(metric).scale
            yield Panel("heatmap", data, title, axes[0], axes[1], rings=ring, write=partial(format_score, metric), shade=shade)
        else:
            data = points.assign(x=places[0], y=points["value"])
            ring = [(x, data.loc[data["x"] == x, "y"].mean()) for x in default]
            yield Panel("curves", data, title, axes[0], axis_of(metric), rings=ring)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _rows(of: Trials) -> Iterator[dict[str, str]]:
    """Yield the extremes of each score: the trial with the lowest and the one with the highest mean."""
    for metric, title in SCORES.items():
        means = of.points[of.points["metric"] == metric].groupby("settings", sort=False)["value"].mean()
        if len(means):
            ends = {"Lowest": (means.min(), means.idxmin()), "Highest": (means.max(), means.idxmax())}
            texts = {head: f"{format_score(metric, mean)} ({settings})" for head, (mean, settings) in ends.items()}
            yield {"Method": method_name(of.method), "Score": title, "Trials": str(len(means))} | texts


def _means(points: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return a row per trial or method and score: the mean over its seeds."""
    means = points.groupby(["method", "variant", "settings", "metric"], sort=False)["value"].agg(seeds="size", value="mean")
    return means.reset_index().assign(**place.identity)


def _at_zero(of: Trials | Beside) -> Pair | None:
    """Return SimNPO's best forget quality at gamma 0 and at any other gamma, by seed."""
    if isinstance(of, Beside) or of.method != SIMNPO or "gamma" not in of.points:
        return None
    points = of.points[(of.points["metric"] == QUALITY) & (of.points["gamma"] != ABSENT)]
    zero, others = (points[at].groupby("seed")["value"].max() for at in (points["gamma"] == 0, points["gamma"] != 0))
    return Pair(of.place.title, zero, others)


NORMALISED = "W-GradDiff, which only normalises by length, forgets better than GradDiff"
QUESTIONS = (
    Question(
        "ablation",
        "What do beta, gamma and length normalisation do?",
        "Figs. A2 and A3",
        _find,
        _show,
        (
            Claim(NORMALISED, "App. F, Fig. A3", QUALITY, W_GRADDIFF, GRADDIFF),
            Claim("SimNPO forgets better than GradDiff", "Table 1", QUALITY, SIMNPO, GRADDIFF, (0.99, 0.0)),
            Claim("SimNPO forgets best at gamma 0", "App. D, Fig. A2", measure=each(_at_zero)),
        ),
    ),
)
