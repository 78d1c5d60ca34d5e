"""Which metric to trust: whether it tells models that know the forget set from others, and whether attacks change its numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import pandas as pd

from palimpsest.evaluation.metric import SHARE, Metric
from palimpsest.metrics.meta import faithfulness, rank_agreement
from palimpsest.metrics.robustness import Change, symmetric_robustness, symmetric_stability
from palimpsest.metrics.spread import mean
from palimpsest.metrics.summary import harmonic_mean
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel
from palimpsest.report.pages import declared_metrics
from palimpsest.report.question import Found, Question
from palimpsest.report.questions.robustness import MODEL, Model, control_of, ends_of
from palimpsest.report.rows import attacked, of_block
from palimpsest.report.study import TRAINED, Block, Study
from palimpsest.report.words import counted

# With fewer models of a kind, an AUC says nothing.
FEWEST = 5
SCORES = {
    "faithfulness": "Faithfulness",
    "relearning": "R, symmetric",
    "editing": "Q, symmetric",
    "robustness": "Robustness",
    "overall": "Overall",
    "agreement": "Ranks kept",
}


@dataclass(frozen=True)
class Metrics(Found):
    """The scores of each metric in one place, a row each, the best overall first."""

    def panels(self) -> Iterator[Panel]:
        """Yield a map: scores across, metrics upwards."""
        rows = self.numbers.iloc[::-1].reset_index(drop=True)
        cells = [
            {"method": "", "variant": "", "x": x, "y": y, "value": float(rows[name][y])}
            for y in rows.index
            for x, name in enumerate(SCORES)
            if not math.isnan(float(rows[name][y]))
        ]
        across, upwards = Axis(names=[*SCORES.values()]), Axis(names=rows["metric"].tolist())
        yield Panel("heatmap", pd.DataFrame(cells), "Scores of metrics", across, upwards, write="{:.2f}".format)

    def rows(self) -> Iterator[dict[str, str]]:
        """Yield the scores of each metric as text."""
        for row in self.numbers.to_dict("records"):
            yield {"Metric": row["metric"]} | {head: f"{row[name]:.2f}" for name, head in SCORES.items() if pd.notna(row[name])}

    def facts(self) -> Iterator[str]:
        """Say which models were told apart, and which metric comes first."""
        first = self.numbers.iloc[0]
        yield (
            f"{counted(int(first['knowing']), 'model')} that know the forget set (Original), {first['others']} that never saw it "
            "(Retrain, also after edits of its weights)."
        )
        if pd.notna(first["overall"]):
            yield f"First overall: {first['metric']} ({first['overall']:.2f})."


def _find(evidence: Evidence) -> Iterator[Metrics]:
    """Yield every place with enough models of both kinds.

    The metrics are those whose goal is Retrain's value, and that do not compare with Retrain.
    """
    known = declared_metrics(evidence.study.kinds)
    declared = [metric for metric in known if metric.best == "nearest Retrain" and not metric.needs]
    along = attacked(evidence.results)
    attacks = {each.title: each.rows for each in evidence.places(along)}
    found: dict[tuple[str, ...], tuple[int, Metrics]] = {}
    for place in evidence.finished(*(metric.name for metric in declared)):
        steps, rows = attacks.get(place.title, along[:0]), _of_all_models(evidence, place)
        own = of_block(rows, place.block)
        scores = [_scores(evidence.study, place.block, metric, rows, _changes(metric, own, steps)) for metric in declared]
        numbers = pd.DataFrame([of for of in scores if of])
        # Several models of a benchmark share the pools; the one that attacks measure most has the table.
        key = (place.block.benchmark, place.block.split, place.suite)
        if len(numbers) and len(steps) >= found.get(key, (0, None))[0]:
            ordered = numbers.sort_values(["overall", "faithfulness", "metric"], ascending=[False, False, True])
            found[key] = len(steps), Metrics(place.title, (), ordered.assign(**place.identity).reset_index(drop=True))
    # The suite that attacks measure most comes first.
    yield from (metrics for _, metrics in sorted(found.values(), key=lambda pair: -pair[0]))


def _of_all_models(evidence: Evidence, place: Place) -> pd.DataFrame:
    """Return what the place's suite says of finished models, attacked ones too, on its benchmark and split."""
    results = evidence.results[evidence.results["epoch"].isna()]
    same = (
        (results["suite"] == place.suite)
        & (results["benchmark"] == place.block.benchmark)
        & (results["split"] == place.block.split)
    )
    return results[same]


def _pools(study: Study, rows: pd.DataFrame) -> tuple[list[float], list[float]]:
    """Return a metric of the models that know the forget set, and of those that never saw it."""
    harmless = [attack == "" or study.unit_of(attack) != TRAINED for attack in rows["attack"]]
    knowing = rows[(rows["method"] == ORIGINAL) & (rows["attack"] == "")]
    others = rows[(rows["method"] == RETRAIN) & pd.Series(harmless, rows.index, dtype=bool)]
    return knowing["value"].tolist(), others["value"].tolist()


def _changes(metric: Metric, rows: pd.DataFrame, steps: pd.DataFrame) -> dict[Model, Change]:
    """Return what attacks change in a metric: in the models that they leave, or where none is kept, after their last step."""
    own = rows[rows["metric"] == metric.name]
    before = own[own["attack"] == ""].drop(columns="attack")
    pairs = own[own["attack"] != ""].merge(before, on=["method", "variant", "seed"], suffixes=("", "_before")).set_index(MODEL)
    kept = {
        cast(Model, key): Change(*pair)
        for key, pair in zip(pairs.index, pairs[["value_before", "value"]].to_numpy(), strict=True)
    }
    return ends_of(steps[steps["metric"] == metric.name]) | kept


def _scores(
    study: Study, block: Block, metric: Metric, rows: pd.DataFrame, changes: dict[Model, Change]
) -> dict[str, object] | None:
    """Return the scores of a metric; None with too few models."""
    own = rows[rows["metric"] == metric.name]
    knowing, others = _pools(study, own)
    if min(len(knowing), len(others)) < FEWEST:
        return None
    falls = mean(knowing) < mean(others)
    if falls and metric.bounds != SHARE:
        changes = {}
    elif falls:
        changes = {key: Change(1 - change.before, 1 - change.after) for key, change in changes.items()}
    relearning, editing = _robustness(study, block, changes)
    robust = harmonic_mean([score for score in (relearning, editing) if pd.notna(score)])
    found = faithfulness(knowing, others)
    return {
        "metric": metric.name,
        "faithfulness": found,
        "relearning": relearning,
        "editing": editing,
        "robustness": robust,
        "overall": harmonic_mean([found, robust]),
        "agreement": _agreement(changes),
        "knowing": len(knowing),
        "others": len(others),
    }


def _robustness(study: Study, block: Block, changes: dict[Model, Change]) -> tuple[float, float]:
    """Return the mean symmetric R over models that attacks train, and the mean symmetric Q over edited ones; NaN without any."""
    relearnt, edited = [], []
    for (method, _, attack, seed), change in changes.items():
        if method == RETRAIN:
            continue
        if study.unit_of(attack) != TRAINED:
            edited.append(symmetric_stability(change))
        elif control := control_of(study, block, changes, attack, seed):
            relearnt.append(symmetric_robustness(change, control))
    return mean(relearnt), mean(edited)


def _agreement(changes: dict[Model, Change]) -> float:
    """Return how far the methods' ranking by distance from Retrain is the same before and after attacks."""
    methods = sorted({method for method, *_ in changes})
    of = {method: [change for (name, *_), change in changes.items() if name == method] for method in methods}
    before = {method: mean([change.before for change in of[method]]) for method in methods}
    after = {method: mean([change.after for change in of[method]]) for method in methods}
    if RETRAIN not in before:
        return float("nan")
    goals = before.pop(RETRAIN), after.pop(RETRAIN)
    return rank_agreement(before, after, goals)


QUESTIONS = (
    Question(
        "meta",
        "Which metric can be trusted?",
        "",
        _find,
        "A map of how faithful and how robust each metric of the forget set is: scores across, metrics upwards.",
        "Faithfulness: the AUC of telling models that know the forget set from models that never saw it (the greater of AUC "
        "and 1 - AUC). R and Q, symmetric: means over the attacked models; 1 only if an attack changes the metric as it does in "
        "Retrain (R), or does not change it (Q). Robustness: their harmonic mean. Overall: the harmonic mean of faithfulness and "
        "robustness (OpenUnlearning, arXiv 2506.12618; symmetric forms: arXiv 2605.24614). Ranks kept: Spearman's correlation "
        "over methods between the distances from Retrain before and after the attacks. If an attack keeps no "
        "model, only the metrics of losses on the forget set have a value after it.",
        grid=partial(Grid, wide=1),
        note="Metrics that compare with Retrain are left out: Retrain itself has their best value by definition.",
        short="Metrics",
    ),
)
