"""How unlearning proceeds: forget quality, model utility and the divergence from the original, epoch by epoch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from palimpsest.report.drawing import lowest_tick, method_handle, panel_rows, quality_axis, score_height
from palimpsest.report.evidence import Answer, Evidence, Place
from palimpsest.report.findings import COLLAPSED
from palimpsest.report.names import compared, method_name, model_label, model_order
from palimpsest.report.rows import KEY, along_trajectories
from palimpsest.report.style import DASHED, DOTTED, INK, colour_of, marker_of, size_of
from palimpsest.report.words import (
    QUALITY,
    SCORES,
    UTILITY,
    against_paper,
    format_quality,
    format_score,
    joined,
    over_seeds,
    sign_over_seeds,
    table_of,
    under_titles,
    variants_shown,
)

QUESTION = "What happens while a method unlearns?"
PAPER = "Figs. 3c-d and A4"
METRICS = SCORES | {
    "kl_forget": "KL to the start, forget set",
    "kl_retain": "KL to the start, retain set",
}
# Models whose level stands behind the courses, each with its line.
LEVELS: dict[str, Any] = {"retrain": DASHED, "original": DOTTED}
# A fall of model utility by less than this share of its first value is no sharp drop.
DROP = 0.1
# From here on a divergence (nats) is drawn on a scale that is linear below its tenth and logarithmic above.
WIDE_KL = 5.0
# Winning back less than this part of what was lost is no recovery; and in fewer epochs there is no early and late.
RECOVERED, FEW_EPOCHS = 0.25, 4


@dataclass(frozen=True)
class Course:
    """One method's way through the epochs: a table of epochs by seeds for every metric that it has."""

    method: str
    variant: str
    metrics: dict[str, pd.DataFrame]

    @property
    def label(self) -> str:
        """What the model is called."""
        return model_label(self.method, self.variant)


@dataclass(frozen=True)
class Watched:
    """One place with the courses of its methods, and the finished models there, if any are."""

    place: Place
    courses: list[Course]
    finished: Place | None

    def course(self, method: str, metric: str) -> pd.DataFrame | None:
        """Return a metric of a method by epoch and seed, if it is there."""
        return next((course.metrics.get(metric) for course in self.courses if course.method == method), None)

    @property
    def seeds(self) -> int:
        """Over how many seeds its means go."""
        return max(frame.shape[1] for course in self.courses for frame in course.metrics.values())

    def level(self, role: str, metric: str) -> float | None:
        """Return the mean of Original's or Retrain's metric over seeds, if it is there."""
        values = self.finished.by_seed(metric, role) if self.finished else None
        return None if values is None or values.empty else float(values.mean())


def answer(evidence: Evidence) -> Answer | None:
    """Follow every method that was watched over all its epochs."""
    places = evidence.places(along_trajectories(evidence.results))
    found = [watched for place in places if (watched := _watched(evidence, place))]
    if not found:
        return None
    models = [(course.method, course.variant) for watched in found for course in watched.courses]
    return Answer(
        findings=under_titles([(watched.place.title, sentence) for watched in found for sentence in _sentences(watched)]),
        figure=_draw(found),
        alt="Forget quality, model utility and the divergence from the start model on forget and retain set after each epoch of "
        "unlearning, a line a method.",
        caption="After each epoch of unlearning, 0 being the model before it. Lines are means over seeds, bands go from the "
        "lowest to the highest. KL is the mean per token of the answers, from the model before to the one after, in nats."
        + variants_shown(models),
        numbers=pd.concat([_numbers(watched, course) for watched in found for course in watched.courses], ignore_index=True),
        table=_table(found),
    )


def _watched(evidence: Evidence, place: Place) -> Watched | None:
    rows = place.rows[place.rows["metric"].isin(METRICS)]
    courses = []
    for method in sorted(rows["method"].unique(), key=lambda method: model_order(method, "")):
        of_method = rows[rows["method"] == method]
        # Where only the last epoch was looked at there is no course to follow.
        epochs = of_method.groupby("variant")["epoch"].nunique()
        variant = evidence.watched_variant(place.block, method, epochs.index[epochs > 1])
        if variant is None:
            continue
        of_variant = of_method[of_method["variant"] == variant]
        metrics = {
            str(metric): of_metric.astype({"epoch": int}).pivot(index="epoch", columns="seed", values="value")
            for metric, of_metric in of_variant.groupby("metric")
        }
        courses.append(Course(method, variant, metrics))
    done = next((other for other in evidence.finished if other.title == place.title), None)
    return Watched(place, courses, done) if courses else None


def _sentences(watched: Watched) -> list[str]:
    verdicts = _npo(watched) + _simnpo(watched) + _ga(watched)
    return (verdicts or ["What the paper says of NPO, SimNPO and GA is left open: none was watched here."]) + _ends(watched)


def _ends(watched: Watched) -> list[str]:
    """Say where every method ends."""
    sentences, told = [], compared(course.method for course in watched.courses)
    for metric, name in SCORES.items():
        parts = [
            f"{format_score(metric, frame.iloc[-1].mean())} for {course.label}"
            for course in watched.courses
            if course.method in told and (frame := course.metrics.get(metric)) is not None
        ]
        if parts:
            sentences.append(f"After the last epoch {name.lower()} is {joined(parts)} ({over_seeds(watched.seeds)}).")
    return sentences


def _npo(watched: Watched) -> list[str]:
    utility = watched.course("npo", UTILITY)
    if utility is None:
        return []
    means = utility.mean(axis=1)
    lowest, last, start = _lowest_epoch(means), int(means.index[-1]), float(means.iloc[0])
    if start <= 0:
        return ["Whether NPO's model utility drops and recovers is left open: it has none to begin with."]
    if last < FEW_EPOCHS:
        return [f"Whether NPO's model utility drops and recovers is left open: {last} epochs are too few to tell."]
    lost, regained = start - means.min(), utility.iloc[-1] - utility.iloc[int(means.argmin())]
    left = f"{means.min() / start:.0%} of it is left after epoch {lowest}, {means.iloc[-1] / start:.0%} at the end"
    shares = f"{left} ({over_seeds(utility.shape[1])})"
    if lost < DROP * start:
        return [f"Unlike in the paper, NPO's model utility does not drop: {shares}."]
    if lowest > last / 2:
        return [f"Unlike in the paper, NPO's model utility keeps falling until late: {shares}."]
    if regained.mean() < RECOVERED * lost:
        return [f"Unlike in the paper, NPO's model utility drops in early epochs and does not recover: {shares}."]
    if sign_over_seeds(regained) < 1:
        return [f"Whether NPO's model utility recovers from an early drop is left open: {shares}; not all seeds agree."]
    return [f"As in the paper, NPO's model utility drops in early epochs and then recovers: {shares}."]


def _simnpo(watched: Watched) -> list[str]:
    sentences = []
    utilities = [watched.course(method, UTILITY) for method in ("simnpo", "npo")]
    simnpo, npo = (None if frame is None else frame.min() for frame in utilities)
    if simnpo is not None and npo is not None:
        sentences.append(
            against_paper(
                (simnpo - npo).dropna(),
                "SimNPO keeps more model utility along the way than NPO",
                "SimNPO keeps less model utility along the way than NPO",
                f"it never falls below {simnpo.mean():.3f}, NPO's not below {npo.mean():.3f}",
            )
        )
    for name in ("forget", "retain"):
        kls = [watched.course(method, f"kl_{name}") for method in ("simnpo", "npo")]
        simnpo, npo = (None if frame is None else frame.max() for frame in kls)
        if simnpo is not None and npo is not None:
            sentences.append(
                against_paper(
                    (npo - simnpo).dropna(),
                    f"SimNPO stays nearer to its start on the {name} set than NPO",
                    f"SimNPO strays further from its start on the {name} set than NPO",
                    f"its KL rises to {simnpo.mean():.2g} nats at most, NPO's to {npo.mean():.2g}",
                )
            )
    return sentences


def _ga(watched: Watched) -> list[str]:
    utility = watched.course("ga", UTILITY)
    if utility is None:
        return []
    original = watched.level("original", UTILITY) or float(utility.iloc[0].mean())
    if original <= 0:
        return ["Whether GA collapses is left open: there is no model utility to lose."]
    left = utility.iloc[-1].mean() / original
    seeds = over_seeds(utility.shape[1])
    numbers = f"{left:.0%} of Original's model utility is left after epoch {utility.index[-1]} ({seeds})"
    if left < COLLAPSED:
        return [f"As in the paper, GA collapses: {numbers}."]
    return [f"Unlike in the paper, GA does not collapse: {numbers}."]


def _numbers(watched: Watched, course: Course) -> pd.DataFrame:
    rows = watched.place.of_model(course.method, course.variant)
    rows = rows[rows["metric"].isin(METRICS)]
    return rows[[*KEY, "seed", "method", "variant", "suite", "epoch", "metric", "value"]].sort_values(["metric", "seed", "epoch"])


def _table(found: Sequence[Watched]) -> pd.DataFrame:
    rows = []
    for watched in found:
        for course in watched.courses:
            row = {"Method": course.label}
            for metric, head, write in TABLE:
                means = course.metrics[metric].mean(axis=1) if metric in course.metrics else None
                row[head] = "" if means is None else write(means)
            rows.append((watched.place.title, row))
    return table_of(rows)


def _lowest_epoch(means: pd.Series) -> int:
    return int(means.index[int(means.argmin())])


TABLE: tuple[tuple[str, str, Callable[[pd.Series], str]], ...] = (
    (UTILITY, "Model utility, lowest", lambda means: f"{means.min():.3f} (epoch {_lowest_epoch(means)})"),
    (UTILITY, "Model utility, at the end", lambda means: f"{means.iloc[-1]:.3f}"),
    (QUALITY, "Forget quality, highest", lambda means: f"{format_quality(means.max())} (epoch {_lowest_epoch(-means)})"),
    (QUALITY, "Forget quality, at the end", lambda means: format_quality(means.iloc[-1])),
    ("kl_forget", "KL, forget set, at the end", lambda means: f"{means.iloc[-1]:.2g}"),
    ("kl_retain", "KL, retain set, at the end", lambda means: f"{means.iloc[-1]:.2g}"),
)


def _draw(found: Sequence[Watched]) -> Figure:
    metrics = [metric for metric in METRICS if any(metric in course.metrics for watched in found for course in watched.courses)]
    figure = Figure(figsize=(0.6 + 2.6 * len(metrics), 0.4 + 2.9 * len(found)))
    for part, watched in zip(panel_rows(figure, [watched.place.title for watched in found]), found, strict=True):
        for axes, metric in zip(part.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
            _draw_panel(axes, watched, metric)
            axes.set_xlabel("Epoch")
    models = sorted(
        {(course.method, course.label) for watched in found for course in watched.courses},
        key=lambda model: model_order(*model),
    )
    handles = [method_handle(method, label, 0.7) for method, label in models]
    handles += [
        Line2D([], [], color=colour_of(role), linestyle=style, linewidth=1.1, label=method_name(role))
        for role, style in LEVELS.items()
        if any(watched.level(role, metric) is not None for watched in found for metric in metrics)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 7))
    return figure


def _draw_panel(axes: Axes, watched: Watched, metric: str) -> None:
    courses = [(course.method, course.metrics[metric]) for course in watched.courses if metric in course.metrics]
    levels = [(role, watched.level(role, metric)) for role in LEVELS]
    known = [value for _, frame in courses for value in frame.to_numpy(dtype=float).ravel() if not math.isnan(value)] + [
        level for _, level in levels if level is not None
    ]
    lowest = lowest_tick(known)

    def heights(values: pd.Series) -> list[float]:
        return [score_height(metric, value, lowest) for value in values]

    for role, level in levels:
        if level is not None:
            axes.axhline(heights(pd.Series([level]))[0], color=colour_of(role), linestyle=LEVELS[role], linewidth=1.1, zorder=1)
    for method, frame in courses:
        colour = colour_of(method)
        axes.fill_between(
            frame.index, heights(frame.min(axis=1)), heights(frame.max(axis=1)), color=colour, alpha=0.15, linewidth=0
        )
        axes.plot(
            frame.index,
            heights(frame.mean(axis=1)),
            color=colour,
            linewidth=1.5,
            marker=marker_of(method),
            markersize=size_of(method) * 0.55,
            clip_on=False,
            zorder=3,
        )
    axes.set_title(METRICS[metric], loc="left", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if metric == QUALITY:
        quality_axis(axes, lowest)
        return
    greatest = max(known, default=0.0)
    if metric != UTILITY and greatest > WIDE_KL:
        axes.set_yscale("symlog", linthresh=WIDE_KL / 10)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(0, greatest * 1.08 or 1.0)
