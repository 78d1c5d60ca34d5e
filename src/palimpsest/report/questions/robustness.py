"""How robust unlearning is: what every attack leaves of it, method by method, beside Retrain under the same attack."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import pandas as pd

from palimpsest.evaluation.metric import Best
from palimpsest.metrics.robustness import Change, robustness, stability, symmetric_robustness, symmetric_stability
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.provenance.canonical import canonical_json
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels
from palimpsest.report.pages import declared_metrics
from palimpsest.report.question import Found, Question
from palimpsest.report.remarks import remarks_on
from palimpsest.report.rows import attacked, finished, of_block
from palimpsest.report.study import TRAINED, Block, Study
from palimpsest.report.tables import Column, Table, make_table
from palimpsest.report.words import format_score

MODEL = ["method", "variant", "attack", "seed"]
Model = tuple[str, str, str, int]
RATE = "learning_rate"
# Each of these columns has a table: its subject, and the rule that marks its best values.
AFTER = "after"
PARTS: Mapping[str, tuple[str, Best]] = {
    AFTER: ("after the attack", "nearest Retrain"),
    "robustness": ("R of a training, Q of an edit", "highest"),
    "symmetric": ("R and Q, symmetric", "highest"),
}


@dataclass(frozen=True)
class Attacks(Found):
    """One number per model and attack in one place, with the table that has them."""

    table: Table = field(kw_only=True)

    def panels(self) -> Iterator[Panel]:
        """Yield a map of the means: attacks across, models upwards."""
        # From below, so that the first row of the table is at the top.
        rows = [*self.table.standing.values()][::-1]
        cells = [
            {"method": row.method, "variant": row.variant, "x": x, "y": y, "value": row.cells[column.key].mean}
            for y, row in enumerate(rows)
            for x, column in enumerate(self.table.columns)
            if column.key in row.cells
        ]
        across, upwards = Axis(names=[column.head for column in self.table.columns]), Axis(names=[row.label for row in rows])
        write = partial(format_score, self.table.columns[0].key)
        yield Panel("heatmap", pd.DataFrame(cells), self.table.columns[-1].group, across, upwards, write=write)


@dataclass(frozen=True)
class Rates(Found):
    """Attacks that differ in their learning rate alone, in one place: `points` has a row per model, seed and rate."""

    points: pd.DataFrame
    label: str

    def panels(self) -> list[Panel]:
        """Return a panel over the learning rates."""
        metric = str(self.points["metric"].iloc[0])
        return metric_panels("curves", self.points, {metric: self.label}, Axis("Learning rate of the attack", "log"))


def _find(evidence: Evidence) -> Iterator[Found]:
    """Yield what attacks leave of each metric that says how much a model knows of the forget set: it needs no Retrain."""
    declared = {
        metric.name: metric.attacked for metric in declared_metrics(evidence.study.kinds) if metric.attacked and not metric.needs
    }
    for place in evidence.places(attacked(evidence.results)):
        for metric, title in {**declared, **_of_tasks(evidence.study, place)}.items():
            numbers = _numbers(evidence.study, place, metric)
            if set(numbers["method"]) - {RETRAIN}:
                yield from _tables(evidence, place, numbers, title)
                yield from _curves(evidence.study, place, numbers, title)


def _of_tasks(study: Study, place: Place) -> dict[str, str]:
    """Return the accuracy on the task of lm-eval about the knowledge to forget, of a benchmark with one, and its title."""
    task = study.data.get(place.block.benchmark, {}).get("forget_task")
    return {f"{task}/acc": f"Accuracy, {task}"} if task else {}


def _tables(evidence: Evidence, place: Place, numbers: pd.DataFrame, title: str) -> Iterator[Attacks]:
    """Yield a table for each part of the numbers of one metric; the first has the CSV and the remarks."""
    attacks = [*dict.fromkeys(numbers["attack"])]
    for part, (about, best) in PARTS.items():
        columns = [Column(_key(numbers, part, attack), f"{title}, {about}", attack, best) for attack in attacks]
        rows = [_values(numbers, part, part)]
        if part == AFTER:
            columns.insert(0, Column(_key(numbers, "before"), title, "before", best))
            first = numbers.drop_duplicates(["method", "variant", "seed"]).assign(attack="")
            rows += [_values(numbers, part, "sd", "_sd"), _values(first, "before", "before"), _original(evidence, place, numbers)]
        table = make_table(place.block, place.suite, pd.concat(rows).assign(attack=""), columns, f"{title}, {about}")
        if part == AFTER:
            told = [told for told in remarks_on(evidence.remarks, place.block) if told.attack in attacks]
            yield Attacks(place.title, table.models, numbers, table=replace(table, remarks=told))
        elif table.columns:
            yield Attacks(place.title, (), numbers[:0], table=table)


def _original(evidence: Evidence, place: Place, numbers: pd.DataFrame) -> pd.DataFrame:
    """Return the metric of Original. Original is not attacked; its value shows how much can come back."""
    rows = finished(of_block(evidence.results, place.block))
    is_known = (rows["method"] == ORIGINAL) & (rows["suite"] == place.suite) & rows["metric"].isin(numbers["metric"])
    return rows[is_known].assign(metric=_key(numbers, "before"))


def _values(numbers: pd.DataFrame, part: str, column: str, end: str = "") -> pd.DataFrame:
    """Return a column of the numbers as rows of a table, where there is a value."""
    keys = [f"{_key(numbers, part, attack)}{end}" for attack in numbers["attack"]]
    return numbers.assign(metric=keys, value=numbers[column]).dropna(subset="value")


def _key(numbers: pd.DataFrame, part: str, attack: str = "") -> str:
    """Return the key of a column, whose beginning says how its numbers are written."""
    metric = str(numbers["metric"].iloc[0])
    return f"{metric}_{part}_{attack}" if part in ("before", AFTER) else f"{part}_{metric}_{attack}"


def _curves(study: Study, place: Place, numbers: pd.DataFrame, title: str) -> Iterator[Rates]:
    """Yield the attacks that differ in their learning rate alone."""
    alike: dict[str, dict[str, float]] = {}
    for attack in dict.fromkeys(numbers["attack"]):
        settings = study.attacks.get(attack, {})
        if RATE in (training := settings.get("training", {})):
            others = {**settings, "training": {**training, RATE: None}}
            alike.setdefault(canonical_json(others), {})[attack] = training[RATE]
    for rates in alike.values():
        if len({*rates.values()}) > 1:
            of_rates = numbers[numbers["attack"].isin(rates)]
            groups = of_rates.assign(x=of_rates["attack"].map(rates)).groupby(["method", "variant", "x", "metric"], sort=False)
            points = groups[AFTER].agg(value="mean", low="min", high="max").reset_index().assign(seed=0, main=True)
            yield Rates(place.title, (), numbers[:0], points, f"{title} after {', '.join(rates)}")


def _numbers(study: Study, place: Place, metric: str) -> pd.DataFrame:
    """Return a row per model, attack and seed: the metric before and after the attack, and how robust the model is."""
    changes, spreads = (ends_of(place.rows[place.rows["metric"] == name]) for name in (metric, f"{metric}_sd"))
    found = []
    for key, change in changes.items():
        method, variant, attack, seed = key
        control = control_of(study, place.block, changes, attack, seed)
        row = {"method": method, "variant": variant, "attack": attack, "seed": seed, "metric": metric}
        row |= {"before": change.before, "after": change.after, "sd": spreads[key].after if key in spreads else 0.0}
        found.append(row | dict(zip([*PARTS][1:], _scores(study, attack, change, control), strict=True)))
    folders = place.rows.drop_duplicates(MODEL)[[*MODEL, "folder"]]
    rows = pd.DataFrame(found, columns=[*MODEL, "metric", "before", "after", "sd", *[*PARTS][1:]])
    return rows.merge(folders, on=MODEL, how="left").assign(**place.identity)


def ends_of(rows: pd.DataFrame) -> dict[Model, Change]:
    """Return the first and the last value of each model, attack and seed over the epochs or steps of the attack."""
    groups = rows.sort_values("epoch").groupby(MODEL)["value"]
    return {cast(Model, key): Change(float(of.iloc[0]), float(of.iloc[-1])) for key, of in groups}


def control_of(study: Study, block: Block, changes: Mapping[Model, Change], attack: str, seed: int) -> Change | None:
    """Return what an attack changes in the Retrain of a seed, or in the one that all its seeds share."""
    is_shared = study.shares_references(block)
    found = (change for of, change in changes.items() if of[:3] == (RETRAIN, "", attack) and (is_shared or of[-1] == seed))
    return next(found, None)


def _scores(study: Study, attack: str, change: Change, control: Change | None) -> tuple[float | None, float | None]:
    """Return how robust a model is to an attack that trains, compared with Retrain, or how stable under an edit."""
    if study.unit_of(attack) != TRAINED:
        return stability(change), symmetric_stability(change)
    return (robustness(change, control), symmetric_robustness(change, control)) if control else (None, None)


QUESTIONS = (
    Question(
        "robustness",
        "How much does each attack bring back?",
        "",
        _find,
        "Maps of what every attack leaves, and of how robust each method is to it: attacks across, methods upwards.",
        "What a model knows of the forget set after each attack, and how robust it is: means over seeds. Retrain never knew the "
        "forget set, so what an attack adds to it is no recovery. Original is not attacked: it shows how much can come back.",
        grid=partial(Grid, wide=1),
        note="With d = after - before: R = min(d of Retrain / d, 1) of an attack that trains, and Q = min(before / after, 1) of "
        "one that edits weights (arXiv 2506.12618). Symmetric: R = 1 - |d - d of Retrain| / (|d| + |d of Retrain|), and "
        "Q = 1 - |d| / (before + after) (arXiv 2605.24614). 1 is best. R and Q are 1 where an attack brings nothing back; the "
        "symmetric forms only if it changes a model as it changes Retrain (R), or changes nothing (Q). An sd goes over the seeds "
        "and over the random draws of an attack.",
        short="Robustness",
    ),
)
