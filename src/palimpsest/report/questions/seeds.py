"""Whether SimNPO is better than NPO when both are run with several seeds: means with intervals, and differences seed by seed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from palimpsest.metrics.intervals import bootstrap_interval
from palimpsest.metrics.seeds import Comparison, compare_pairs
from palimpsest.metrics.spread import mean, sd
from palimpsest.report.drawing import (
    UPRIGHT,
    draw_seeds,
    draw_significance,
    draw_spread,
    lowest_tick,
    name_methods,
    panel_rows,
    score_axis,
    score_height,
)
from palimpsest.report.evidence import Answer, Evidence, Place
from palimpsest.report.names import model_label
from palimpsest.report.style import INK, SOFT
from palimpsest.report.words import (
    QUALITY,
    SCORES,
    SIGNIFICANCE,
    Spread,
    both_fail,
    format_score,
    format_sd,
    sign_over_seeds,
    table_of,
    under_titles,
    variants_shown,
)

QUESTION = "Is SimNPO better than NPO, seed by seed?"
PAPER = "Table 1, means over five seeds"
BETTER, WORSE = "simnpo", "npo"
# How far the mean of a method and its single seeds stand from the method's place.
ASIDE = 0.18


@dataclass(frozen=True)
class BySeed:
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
    found = [scored for place in evidence.finished for scored in _by_seed(place)]
    if not found:
        return None
    return Answer(
        findings=under_titles([(scored.place.title, sentence) for scored in found for sentence in _sentences(scored)]),
        figure=_draw(found),
        alt="Forget quality and model utility of every method with their intervals, and NPO beside SimNPO seed by seed.",
        caption=(
            "Forget quality and model utility of every method. Large marks: means over seeds, bars: 95 % bootstrap intervals of "
            "the mean, small marks: single seeds. Where there are several, NPO and SimNPO of the same seed stand beside them, on "
            "a scale of their own; black: their means."
        )
        + variants_shown(model for scored in found for model in scored.values),
        numbers=_numbers(found),
        table=_table(found),
    )


def _by_seed(place: Place) -> Iterator[BySeed]:
    models = place.block.standing_models()
    for metric in SCORES:
        values = {model: by_seed for model in models if len(by_seed := place.by_seed(metric, *model))}
        if values:
            yield BySeed(place, metric, values)


def _sentences(scored: BySeed) -> Iterator[str]:
    """Yield whether SimNPO's score is above NPO's, and how sure that is."""
    pair, score = scored.pair, SCORES[scored.metric].lower()
    if pair.empty:
        yield f"Whether SimNPO's {score} is above NPO's is left open: no seed has both."
        return
    better, worse = (mean(pair[method].tolist()) for method in (BETTER, WORSE))
    failed = both_fail(better, worse) if scored.metric == QUALITY else ""
    means = f"{format_score(scored.metric, better)} against {format_score(scored.metric, worse)}{failed}"
    if len(pair) == 1:
        yield f"Whether SimNPO's {score} is above NPO's by more than luck is left open: {means}, in the only seed."
        return
    found = scored.comparison
    yield (
        f"{_verdict(found, pair, score)}: {means}, higher in {found.higher} of {len(pair)} seeds, mean difference "
        f"{found.difference:+.2g} (95 % interval {found.interval.low:+.2g} to {found.interval.high:+.2g}), "
        f"sign-flip p = {found.p_value:.2g}."
    )


def _verdict(found: Comparison, pair: pd.DataFrame, score: str) -> str:
    agrees, word = ("As", "above") if found.difference > 0 else ("Unlike", "below")
    if found.p_value <= SIGNIFICANCE:
        return f"{agrees} in the paper, SimNPO's {score} is {word} NPO's by more than the luck of seeds"
    if sign_over_seeds(pair[BETTER] - pair[WORSE]):
        # Of n seeds that all agree the sign flips give 2 / 2**n, and never less.
        few = f"though {len(pair)} seeds are too few to be sure"
        return f"{agrees} in the paper, SimNPO's {score} is {word} NPO's in every seed, {few}"
    return f"Whether SimNPO's {score} is above NPO's, as in the paper, is left open"


def _draw(found: Sequence[BySeed]) -> Figure:
    """Draw a row a place: for each score a column a method, and NPO and SimNPO seed by seed on a scale of their own."""
    titles = list(dict.fromkeys(scored.place.title for scored in found))
    models = max(len(scored.values) for scored in found)
    figure = Figure(figsize=(10.0, (2.9 if models <= UPRIGHT else 3.4) * len(titles)))
    qualities = [by_seed for scored in found if scored.metric == QUALITY for by_seed in scored.values.values()]
    lowest = lowest_tick(value for by_seed in qualities for value in by_seed)
    for title, part in zip(titles, panel_rows(figure, titles), strict=True):
        of_place = [scored for scored in found if scored.place.title == title]
        panels = [
            panel for scored in of_place for panel in ((scored, False), (scored, True)) if not panel[1] or len(scored.pair) > 1
        ]
        widths = [1.0 if is_pair else 2.2 for _, is_pair in panels]
        row = part.subplots(1, len(panels), squeeze=False, gridspec_kw={"width_ratios": widths})[0]
        for axes, (scored, is_pair) in zip(row, panels, strict=True):
            _draw_pair(axes, scored) if is_pair else _draw_methods(axes, scored, lowest)
    return figure


def _draw_methods(axes: Axes, scored: BySeed, lowest: float) -> None:
    for place, ((method, _), by_seed) in enumerate(scored.values.items()):
        average, interval = mean(by_seed.tolist()), bootstrap_interval(by_seed.tolist())
        aside = 0.0 if math.isnan(interval.low) else ASIDE
        bounds = interval if aside else (average, average)
        draw_spread(axes, place - aside, scored.metric, lowest, method, Spread(average, *bounds))
        draw_seeds(axes, place + aside, scored.metric, lowest, method, by_seed)
    name_methods(axes, [method for method, _ in scored.values])
    axes.set_xlim(-0.5, len(scored.values) - 0.5)
    if scored.metric == QUALITY:
        draw_significance(axes, lowest)
    score_axis(axes, scored.metric, lowest)


def _draw_pair(axes: Axes, scored: BySeed) -> None:
    """Draw a line a seed from NPO to SimNPO, and a black one between their means."""
    pair = scored.pair[[WORSE, BETTER]]
    lowest = lowest_tick(pair.to_numpy().ravel())
    for place, method in enumerate(pair):
        draw_seeds(axes, place, scored.metric, lowest, str(method), pair[method])
    lines = [*((values, SOFT, 0.8) for values in pair.to_numpy()), (pair.mean().to_numpy(), INK, 1.8)]
    for values, colour, width in lines:
        heights = [score_height(scored.metric, value, lowest) for value in values]
        axes.plot([0, 1], heights, color=colour, linewidth=width, alpha=0.8, clip_on=False, zorder=2)
    name_methods(axes, (WORSE, BETTER))
    axes.set_xlim(-0.35, 1.35)
    score_axis(axes, scored.metric, lowest)
    axes.set_ylabel("")
    axes.set_title("seed by seed", loc="left", color=SOFT, fontsize=8.5, pad=4)


def _table(found: Sequence[BySeed]) -> pd.DataFrame:
    """Return a row a model: mean ± sd and interval of both scores."""
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for scored in found:
        for model, by_seed in scored.values.items():
            line = lines.setdefault((scored.place.title, *model), {"Method": model_label(*model), "Seeds": str(len(by_seed))})
            name, values = SCORES[scored.metric], by_seed.tolist()
            average, low, high = (format_score(scored.metric, value) for value in (mean(values), *bootstrap_interval(values)))
            line[name] = f"{average} ± {format_sd(scored.metric, mean(values), sd(values))}" if len(values) > 1 else average
            line[f"{name}, 95 % interval"] = f"{low} to {high}" if len(values) > 1 else "one seed"
    return table_of([(title, line) for (title, *_), line in lines.items()])


def _numbers(found: Sequence[BySeed]) -> pd.DataFrame:
    """Return a row a model and score, and a row a score for SimNPO less NPO of the same seed."""
    rows = []
    for scored in found:
        key = scored.place.identity | {"metric": scored.metric}
        for (method, variant), by_seed in scored.values.items():
            values = by_seed.tolist()
            low, high = bootstrap_interval(values)
            row = {"method": method, "variant": variant, "less": "", "seeds": len(values), "mean": mean(values), "sd": sd(values)}
            rows.append(key | row | {"low": low, "high": high})
        if len(scored.pair):
            of = scored.comparison
            differences = (scored.pair[BETTER] - scored.pair[WORSE]).tolist()
            row = {"method": BETTER, "less": WORSE, "seeds": len(differences), "mean": of.difference, "sd": sd(differences)}
            rows.append(
                key | row | {"low": of.interval.low, "high": of.interval.high, "p_value": of.p_value, "higher": of.higher}
            )
    return pd.DataFrame(rows)
