"""Whether SimNPO is better than NPO when both are run with several seeds: means with intervals, and differences seed by seed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from palimpsest.metrics.spread import mean, sd
from palimpsest.metrics.trials import Comparison, bootstrap_interval, compare_pairs
from palimpsest.reporting.evidence import Answer, Evidence
from palimpsest.reporting.names import method_name, model_label
from palimpsest.reporting.questions.common import (
    KEY,
    Place,
    Spread,
    default_variant,
    finished,
    methods_of,
    places,
    sign_over_seeds,
    under_titles,
    variants_shown,
)
from palimpsest.reporting.questions.scores import QUALITY, SCORES, draw_seeds, draw_spread, number, score_axis, score_height
from palimpsest.reporting.style import DASHED, INK, SOFT, lowest_tick
from palimpsest.reporting.tables import SIGNIFICANCE

QUESTION = "Is SimNPO better than NPO, seed by seed?"
PAPER = "Table 1, means of five trials"
BETTER, WORSE = "simnpo", "npo"
# How far the mean of a method and its single seeds stand from the method's place.
ASIDE = 0.18
# So many names fit below a panel without being turned.
UPRIGHT = 3


@dataclass(frozen=True)
class Trials:
    """One score of all methods in one place, by seed, one model each."""

    place: Place
    metric: str
    values: dict[tuple[str, str], pd.Series]

    @property
    def pair(self) -> pd.DataFrame:
        """SimNPO's and NPO's values over the seeds that both have; empty where one is missing."""
        of = {method: by_seed for (method, _), by_seed in self.values.items() if method in (BETTER, WORSE)}
        return pd.DataFrame(of).reindex(columns=[BETTER, WORSE]).dropna()

    @property
    def comparison(self) -> Comparison:
        """How SimNPO differs from NPO, seed by seed."""
        return compare_pairs(self.pair[BETTER].tolist(), self.pair[WORSE].tolist())


def answer(evidence: Evidence) -> Answer | None:
    """Compare methods over seeds; None where no method has either score."""
    found = [trials for place in places(evidence.study, finished(evidence.results)) for trials in _trials(place)]
    if not found:
        return None
    return Answer(
        findings=under_titles([(trials.place.title, sentence) for trials in found for sentence in _sentences(trials)]),
        figure=_draw(found),
        alt="Forget quality and model utility of every method with their intervals, and NPO beside SimNPO seed by seed.",
        caption=(
            "Forget quality and model utility of every method. Large marks: means over seeds, bars: 95 % bootstrap intervals of "
            "the mean, small marks: single seeds. Beside them NPO and SimNPO of the same seed, on a scale of their own; "
            "black: their means."
        )
        + variants_shown(model for trials in found for model in trials.values),
        numbers=_numbers(found),
        table=_table(found),
    )


def _trials(place: Place) -> Iterator[Trials]:
    models = [
        (method, variant) for method in methods_of(place.block) if (variant := default_variant(place.block, method)) is not None
    ]
    for metric in SCORES:
        values = {model: by_seed for model in models if len(by_seed := place.by_seed(metric, *model))}
        if values:
            yield Trials(place, metric, values)


def _sentences(trials: Trials) -> Iterator[str]:
    """Yield whether SimNPO's score is above NPO's, and how sure that is."""
    pair, score = trials.pair, SCORES[trials.metric].lower()
    if pair.empty:
        yield f"NPO and SimNPO have no {score} of the same seed: nothing can be compared."
        return
    means = f"{number(trials.metric, mean(pair[BETTER].tolist()))} against {number(trials.metric, mean(pair[WORSE].tolist()))}"
    if len(pair) == 1:
        yield f"With one seed nothing can be said on whether SimNPO's {score} is above NPO's by more than luck ({means})."
        return
    found = trials.comparison
    interval = f"95 % interval {found.interval.low:+.2g} to {found.interval.high:+.2g}"
    numbers = (
        f"{means}, higher in {found.higher} of {len(pair)} seeds, mean difference {found.difference:+.2g} ({interval}), "
        f"sign-flip p = {found.p_value:.2g}"
    )
    yield f"{_verdict(found, pair, score)}: {numbers}."
    if trials.metric == QUALITY and max(pair.mean()) <= SIGNIFICANCE:
        yield f"Both mean forget qualities are at most {SIGNIFICANCE:g}: SimNPO and NPO are both told apart from Retrain."


def _verdict(found: Comparison, pair: pd.DataFrame, score: str) -> str:
    agrees, word = ("As", "above") if found.difference > 0 else ("Unlike", "below")
    if found.p_value <= SIGNIFICANCE:
        return f"{agrees} in the paper, SimNPO's {score} is {word} NPO's by more than the luck of seeds"
    if sign_over_seeds(pair[BETTER] - pair[WORSE]):
        # Of n seeds that all agree the sign flips give 2 / 2**n, and never less.
        few = f"though {len(pair)} seeds are too few to be sure"
        return f"{agrees} in the paper, SimNPO's {score} is {word} NPO's in every seed, {few}"
    return f"Whether SimNPO's {score} is above NPO's, as in the paper, is left open"


def _draw(found: Sequence[Trials]) -> Figure:
    """Draw a row a place: for each score a column a method, and NPO and SimNPO seed by seed on a scale of their own."""
    titles = list(dict.fromkeys(trials.place.title for trials in found))
    models = max(len(trials.values) for trials in found)
    figure = Figure(figsize=(10.0, (2.9 if models <= UPRIGHT else 3.4) * len(titles)))
    parts = figure.subfigures(len(titles), 1, squeeze=False)[:, 0]
    qualities = [by_seed for trials in found if trials.metric == QUALITY for by_seed in trials.values.values()]
    lowest = lowest_tick(value for by_seed in qualities for value in by_seed)
    for title, part in zip(titles, parts, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=9.5, color=INK)
        of_place = [trials for trials in found if trials.place.title == title]
        panels = [
            panel for trials in of_place for panel in ((trials, False), (trials, True)) if not panel[1] or len(trials.pair) > 1
        ]
        widths = [1.0 if is_pair else 2.2 for _, is_pair in panels]
        row = part.subplots(1, len(panels), squeeze=False, gridspec_kw={"width_ratios": widths})[0]
        for axes, (trials, is_pair) in zip(row, panels, strict=True):
            _draw_pair(axes, trials) if is_pair else _draw_methods(axes, trials, lowest)
    return figure


def _draw_methods(axes: Axes, trials: Trials, lowest: float) -> None:
    for place, ((method, _), by_seed) in enumerate(trials.values.items()):
        average, interval = mean(by_seed.tolist()), bootstrap_interval(by_seed.tolist())
        aside = 0.0 if math.isnan(interval.low) else ASIDE
        bounds = interval if aside else (average, average)
        draw_spread(axes, place - aside, trials.metric, lowest, method, Spread(average, *bounds))
        draw_seeds(axes, place + aside, trials.metric, lowest, method, by_seed)
    names = [method_name(method) for method, _ in trials.values]
    turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if len(names) > UPRIGHT else {}
    axes.set_xticks(range(len(names)), names, **turned)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.grid(visible=False, axis="x")
    if trials.metric == QUALITY:
        axes.axhline(score_height(QUALITY, SIGNIFICANCE, lowest), color=SOFT, linewidth=0.9, linestyle=DASHED, zorder=1)
    score_axis(axes, trials.metric, lowest)


def _draw_pair(axes: Axes, trials: Trials) -> None:
    """Draw a line a seed from NPO to SimNPO, and a black one between their means."""
    pair = trials.pair[[WORSE, BETTER]]
    lowest = lowest_tick(pair.to_numpy().ravel())
    for place, method in enumerate(pair):
        draw_seeds(axes, place, trials.metric, lowest, str(method), pair[method])
    lines = [*((values, SOFT, 0.8) for values in pair.to_numpy()), (pair.mean().to_numpy(), INK, 1.8)]
    for values, colour, width in lines:
        heights = [score_height(trials.metric, value, lowest) for value in values]
        axes.plot([0, 1], heights, color=colour, linewidth=width, alpha=0.8, clip_on=False, zorder=2)
    axes.set_xticks([0, 1], [method_name(method) for method in (WORSE, BETTER)])
    axes.set_xlim(-0.35, 1.35)
    axes.grid(visible=False, axis="x")
    score_axis(axes, trials.metric, lowest)
    axes.set_ylabel("")
    axes.set_title("seed by seed", loc="left", color=SOFT, fontsize=8.5, pad=4)


def _table(found: Sequence[Trials]) -> pd.DataFrame:
    """Return a row a model: mean ± sd and interval of both scores."""
    many = len({trials.place.title for trials in found}) > 1
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for trials in found:
        for model, by_seed in trials.values.items():
            title = trials.place.title
            head = {"Block": title} if many else {}
            line = lines.setdefault((title, *model), head | {"Method": model_label(*model), "Seeds": str(len(by_seed))})
            name, values = SCORES[trials.metric], by_seed.tolist()
            spread, interval = sd(values), bootstrap_interval(values)
            known = not math.isnan(spread)
            line[name] = number(trials.metric, mean(values)) + (f" ± {number(trials.metric, spread)}" if known else "")
            line[f"{name}, 95 % interval"] = (
                " to ".join(number(trials.metric, bound) for bound in interval) if known else "one seed"
            )
    return pd.DataFrame(lines.values()).fillna("")


def _numbers(found: Sequence[Trials]) -> pd.DataFrame:
    """Return a row a model and score, and a row a score for SimNPO less NPO of the same seed."""
    rows = []
    for trials in found:
        key = dict(zip(KEY, trials.place.block.key, strict=True)) | {"suite": trials.place.suite, "metric": trials.metric}
        for (method, variant), by_seed in trials.values.items():
            values = by_seed.tolist()
            low, high = bootstrap_interval(values)
            row = {"method": method, "variant": variant, "less": "", "seeds": len(values), "mean": mean(values), "sd": sd(values)}
            rows.append(key | row | {"low": low, "high": high})
        if len(trials.pair):
            of = trials.comparison
            differences = (trials.pair[BETTER] - trials.pair[WORSE]).tolist()
            row = {"method": BETTER, "less": WORSE, "seeds": len(differences), "mean": of.difference, "sd": sd(differences)}
            rows.append(
                key | row | {"low": of.interval.low, "high": of.interval.high, "p_value": of.p_value, "higher": of.higher}
            )
    return pd.DataFrame(rows)
