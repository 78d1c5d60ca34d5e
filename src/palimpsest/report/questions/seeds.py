"""Whether SimNPO is better than NPO when both are run with several seeds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from palimpsest.metrics.intervals import bootstrap_interval
from palimpsest.metrics.power import ks_power
from palimpsest.metrics.seeds import compare_pairs, visible_difference
from palimpsest.metrics.spread import mean, sd
from palimpsest.names import RETRAIN
from palimpsest.report.claims import FEWEST, Claim
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Panel, metric_panels, stacked
from palimpsest.report.names import GRADDIFF, NPO, SIMNPO, method_name, model_label
from palimpsest.report.question import Found, Question
from palimpsest.report.rows import log10, of_block, of_models, root_of_decades
from palimpsest.report.words import QUALITY, SCORES, SIGNIFICANCE, UTILITY, counted, format_score, typeset, with_sd

PAIR = (NPO, SIMNPO)
# How far a model is from Retrain: of p-values a mean says little, and errors of two signs cancel.
DISTANCES = {"ks_statistic": "KS distance", "truth_ratio_distance": "Distance per question"}
# Half an sd of Retrain's log truth ratios, and how often a study should see what is there.
SHIFT, POWER = 0.5, 0.8


@dataclass(frozen=True)
class Scored(Found):
    """Both scores of the variants that represent their methods in one place: `points` has the interval of each mean."""

    points: pd.DataFrame
    place: Place
    questions: int
    """Number of forget questions behind a forget quality; 0 if there is none."""

    def panels(self) -> Iterator[Panel]:
        """Yield both scores by method, each with NPO beside SimNPO where they share seeds."""
        for panel in metric_panels("dots", self.points, SCORES):
            yield panel
            pair = panel.data[panel.data["method"].isin(PAIR)]
            if len(_paired(pair)) > 1:
                data = pair.assign(x=pair["method"].map(PAIR.index), y=pair["value"])
                names = Axis(names=[method_name(method) for method in PAIR])
                yield Panel("paths", data, "seed by seed", names, replace(panel.x, zero=False))

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield a row per model."""
        for model in self.models:
            own = of_models(self.points, [model])
            row = {"Method": model_label(*model), "Seeds": str(own["seed"].nunique())}
            for metric, title in SCORES.items():
                of = own[own["metric"] == metric]
                row[title] = with_sd(of["value"], metric)
                if len(of) >= FEWEST:
                    low, high = (format_score(metric, bound) for bound in of[["low", "high"]].mean())
                    row[f"{title}, 95 % interval"] = f"{low} to {high}"
            # A mean of p-values is ruled by the largest.
            logs = log10(own.loc[own["metric"] == QUALITY, "value"])
            row["Forget quality, mean log10"] = typeset(f"{mean(logs.tolist()):z.1f}")
            yield row | {name: with_sd(self.place.by_seed(key, *model), write="{:.3f}".format) for key, name in DISTANCES.items()}

    def facts(self) -> Iterator[str]:
        """Say what the study can see: by its number of questions, and by its number of seeds."""
        if self.questions:
            power = ks_power(self.questions, SHIFT, SIGNIFICANCE)
            yield (
                f"With {counted(self.questions, 'forget question')}, forget quality is below {SIGNIFICANCE:g} in {power:.0%} of "
                "models whose log truth ratios are half an sd from Retrain's."
            )
        seeds = self.numbers.loc[self.numbers["less"] == NPO, "seeds"].max()
        if seeds >= FEWEST:
            seen = visible_difference(seeds, SIGNIFICANCE, POWER)
            yield (
                f"With {seeds} seeds, a claim holds in {POWER:.0%} of studies if the true difference is {seen:.1f} times its sd "
                "over seeds; if it must pass Holm's correction for 20 claims, "
                f"{visible_difference(seeds, SIGNIFICANCE / 20, POWER):.1f} times."
            )


def _find(evidence: Evidence) -> Iterator[Scored]:
    for place in evidence.finished(*SCORES):
        points = stacked(place.points(metric, place.block.standing_models()).assign(metric=metric) for metric in SCORES)
        if len(points):
            groups = points.groupby(["metric", "method"], sort=False)
            bounded = stacked(of.assign(**_bounds(of["value"])) for _, of in groups)
            models = list(dict.fromkeys(zip(bounded["method"], bounded["variant"], strict=True)))
            yield Scored(place.title, models, pd.DataFrame(_numbers(place, bounded)), bounded, place, _questions(evidence, place))


def _questions(evidence: Evidence, place: Place) -> int:
    ratios = of_models(of_block(evidence.truth_ratios, place.block), [(RETRAIN, "")])
    return int(ratios.loc[(ratios["suite"] == place.suite) & (ratios["set"] == "forget"), "id"].nunique())


def _bounds(values: pd.Series) -> dict[str, float]:
    """Return the interval of a mean; of too few seeds for one their range, and of one seed none."""
    low, high = bootstrap_interval(values.tolist()) if not 1 < len(values) < FEWEST else (values.min(), values.max())
    return {"low": low, "high": high}


def _paired(points: pd.DataFrame) -> pd.DataFrame:
    """Return the values of NPO and SimNPO of the seeds that have both."""
    return points.pivot_table(index="seed", columns="method", values="value").reindex(columns=list(PAIR)).dropna()


def _numbers(place: Place, points: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row per model and score, and one per score for SimNPO less NPO of the same seed."""
    for (metric, method, variant), of in points.groupby(["metric", "method", "variant"], sort=False):
        values, low, high = of["value"].tolist(), *of[["low", "high"]].iloc[0]
        model = {"metric": metric, "method": method, "variant": variant, "less": "", "seeds": len(values)}
        yield place.identity | model | {"mean": mean(values), "sd": sd(values), "low": low, "high": high}
    for metric, of in points.groupby("metric", sort=False):
        pair = _paired(of)
        if len(pair):
            # On the scale of the claims.
            pair = pair.apply(root_of_decades) if metric == QUALITY else pair
            found = compare_pairs(pair[SIMNPO].tolist(), pair[NPO].tolist())
            row = {"metric": metric, "method": SIMNPO, "less": NPO, "seeds": len(pair), "mean": found.difference}
            row |= {"sd": sd((pair[SIMNPO] - pair[NPO]).tolist()), "low": found.interval.low, "high": found.interval.high}
            yield place.identity | row | {"p_higher": found.p_higher, "p_lower": found.p_lower, "higher": found.higher}


QUESTIONS = (
    Question(
        "seeds",
        "Is SimNPO better than NPO, seed by seed?",
        "Table 1, means over five seeds",
        _find,
        "Forget quality and model utility of every method with their intervals, and NPO beside SimNPO seed by seed.",
        f"Large marks: means over seeds, bars: 95 % bootstrap intervals of the mean, of fewer than {FEWEST} seeds their range; "
        "small marks: single seeds. Where there are several, NPO and SimNPO of the same seed are joined; black: their means.",
        (
            Claim("SimNPO forgets better than NPO", "Table 1", QUALITY, SIMNPO, NPO, (0.99, 0.79)),
            Claim("SimNPO keeps more utility than NPO", "Table 1", UTILITY, SIMNPO, NPO, (0.58, 0.57)),
            Claim("NPO forgets better than GradDiff", "Table 1", QUALITY, NPO, GRADDIFF, (0.79, 0.0)),
        ),
    ),
)
