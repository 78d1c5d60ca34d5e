"""What single settings do: both scores over a method's trials, and length normalisation without the rest."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from palimpsest.names import DEFAULT, SELECTED
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, axis_of, metric_panels, stacked
from palimpsest.report.names import GRADDIFF, NPO, SIMNPO, W_GRADDIFF, method_name, model_order
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import finished
from palimpsest.report.study import DRAW, Values, starts_from
from palimpsest.report.words import QUALITY, SCORES, format_score, is_number, joined

BESIDE = (GRADDIFF, W_GRADDIFF, NPO, SIMNPO)
# A setting that a trial does not have, or has as null.
ABSENT = "none"
# More settings cannot be drawn.
DRAWN = 2


@dataclass(frozen=True)
class Trials(Found):
    """The trials of a method in one place: `points` has a row per trial, seed and score; `values` lists each setting's values."""

    method: str
    points: pd.DataFrame
    values: Mapping[str, list[Any]]
    default: Mapping[str, Any]

    def panels(self) -> Iterator[Panel]:
        """Yield a panel per score: a line over one setting, or a map of two; the default setting is outlined."""
        axes = [Axis(name.replace("_", " "), names=[_text(value) for value in known]) for name, known in self.values.items()]
        places = [self.points[name].map(known.index) for name, known in self.values.items()]
        points = self.points.assign(x=places[0], y=places[-1], variant="")
        default = [known.index(self.default[name]) for name, known in self.values.items() if self.default.get(name) in known]
        for metric, title in SCORES.items():
            of = points[points["metric"] == metric]
            if of.empty:
                continue
            if len(axes) == 1:
                rings = [(x, of.loc[of["x"] == x, "value"].mean()) for x in default]
                yield Panel("curves", of.assign(y=of["value"]), title, axes[0], axis_of(metric), rings=rings)
            else:
                cells = of.groupby(["method", "x", "y"])["value"].mean().reset_index()
                rings = [(default[0], default[1])] if len(default) == len(axes) else []
                write, shade = partial(format_score, metric), axis_of(metric).scale
                yield Panel("heatmap", cells, title, axes[0], axes[1], rings=rings, write=write, shade=shade)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield the extremes of each score: the trial with the lowest and the one with the highest mean."""
        for metric, title in SCORES.items():
            means = self.numbers[self.numbers["metric"] == metric].set_index("settings")["value"]
            if len(means):
                ends = {"Lowest": (means.min(), means.idxmin()), "Highest": (means.max(), means.idxmax())}
                texts = {head: f"{format_score(metric, mean)} ({trial})" for head, (mean, trial) in ends.items()}
                yield {"Method": method_name(self.method), "Score": title, "Trials": str(len(means))} | texts


@dataclass(frozen=True)
class TooMany(Found):
    """The trials of a method that vary more settings than can be drawn."""

    method: str
    names: list[str]

    def facts(self) -> Iterator[str]:
        """Name the settings."""
        names = joined([name.replace("_", " ") for name in self.names])
        yield f"The trials of {method_name(self.method)} vary {names}: too many settings to draw."


@dataclass(frozen=True)
class Beside(Found):
    """W-GradDiff beside the methods that the paper compares it with, in one place, as `points` of trials."""

    points: pd.DataFrame

    def panels(self) -> list[Panel]:
        """Return a panel per score."""
        return metric_panels("dots", self.points, SCORES)


def _find(evidence: Evidence) -> Iterator[Found]:
    results = evidence.results
    for place in evidence.places(results[results["attack"] == ""], *SCORES):
        for method in sorted({*place.block.trials, *place.block.methods}, key=model_order):
            yield from _trials(place, method)
    for place in evidence.finished(QUALITY):
        standing = [(method, place.block.standing(method)) for method in BESIDE]
        models = [(method, variant) for method, variant in standing if variant and len(place.by_seed(QUALITY, method, variant))]
        methods = {method for method, _ in models}
        if W_GRADDIFF in methods and methods & {GRADDIFF, SIMNPO}:
            points = stacked(place.points(metric, models).assign(metric=metric, settings="") for metric in SCORES)
            yield Beside(place.title, (), _means(points, place), points, head=f"{place.title}: length normalisation")


def _trials(place: Place, method: str) -> Iterator[Found]:
    """Yield the trials of the named variants and the grid; if these vary too many settings, only the trials of the grid."""
    grid, named = (_plain(of.get(method, {})) for of in (place.block.trials, place.block.methods))
    tables = [_settings(place, method, candidates) for candidates in ({**named, **grid}, grid)]
    varied = sorted((table for table in tables if len(table.columns)), key=lambda table: len(table.columns) > DRAWN)
    for trials in varied[:1]:
        names = [str(name) for name in trials]
        if len(names) > DRAWN:
            yield TooMany(place.title, (), pd.DataFrame(), method, names)
            return
        points = _points(place, method, trials)
        values = {name: sorted(trials[name].unique(), key=lambda value: (isinstance(value, str), value)) for name in names}
        default = _flat(named.get(DEFAULT) or grid.get(DEFAULT) or {})
        head = f"{place.title}: {method_name(method)}"
        yield Trials(place.title, (), _means(points, place), method, points, values, default, head=head)


def _plain(variants: Mapping[str, Values]) -> dict[str, Values]:
    """Return the variants with settings of their own that start from the original and read no other reference."""
    return {name: each for name, each in variants.items() if name != SELECTED and starts_from(each)}


def _settings(place: Place, method: str, variants: Mapping[str, Values]) -> pd.DataFrame:
    """Return a row per scored variant with the settings that differ; of variants with the same settings the first."""
    flat = {variant: _flat(each) for variant, each in variants.items() if len(_last(place, method, variant))}
    table = pd.DataFrame(flat.values(), index=list(flat), dtype=object)
    table = table.where(table.notna(), ABSENT)
    return table.loc[:, table.nunique() > 1].drop_duplicates()


def _flat(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of training and loss by name, less the draw; one that is no number or word as text, null as none."""
    flat = {**(entry.get("training") or {}), **(entry.get("loss") or {})}
    flat.pop(DRAW, None)
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


def _points(place: Place, method: str, trials: pd.DataFrame) -> pd.DataFrame:
    """Return a row per trial, seed and score."""
    rows = []
    for variant, point in zip(trials.index, trials.to_dict("records"), strict=True):
        text = ", ".join(f"{name}={_text(value)}" for name, value in point.items())
        own = _last(place, method, variant)[["variant", "seed", "metric", "value"]]
        rows.append(own.assign(**{str(name): value for name, value in point.items()}, method=method, settings=text))
    return stacked(rows)


def _means(points: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Return a row per trial or method and score: the mean over its seeds."""
    means = points.groupby(["method", "variant", "settings", "metric"], sort=False)["value"].agg(seeds="size", value="mean")
    return means.reset_index().assign(**place.identity)


def _text(value: Any) -> str:
    return f"{value:g}" if is_number(value) else str(value)


def _at_zero(of: Found) -> Iterator[Pair]:
    """SimNPO's best forget quality among its trials is higher at gamma 0 than at any other gamma."""
    if isinstance(of, Trials) and of.method == SIMNPO and "gamma" in of.values:
        points = of.points[(of.points["metric"] == QUALITY) & (of.points["gamma"] != ABSENT)]
        at = points["gamma"] == 0
        zero, others = (points[where].groupby("seed")["value"].max() for where in (at, ~at))
        yield Pair(of.title, zero, others)


NORMALISED = "W-GradDiff, which only normalises by length, forgets better than GradDiff"
QUESTIONS = (
    Question(
        "ablation",
        "What do beta, gamma and length normalisation do?",
        "Figs. A2 and A3",
        _find,
        "Forget quality and model utility over the settings that the trials of a method vary, and of W-GradDiff and its kin.",
        "Trials: means over seeds of the finished model, or else after the last epoch of its trajectory; outlined: the default "
        "setting. Length normalisation is what tells W-GradDiff from GradDiff; beta adds weights to it in SimNPO.",
        (
            Claim(NORMALISED, "App. F, Fig. A3", QUALITY, W_GRADDIFF, GRADDIFF),
            Claim("SimNPO forgets better than GradDiff", "Table 1", QUALITY, SIMNPO, GRADDIFF, (0.99, 0.0)),
            Claim("SimNPO forgets best at gamma 0", "App. D, Fig. A2", measure=_at_zero),
        ),
        partial(Grid, wide=2, height=170),
    ),
)
