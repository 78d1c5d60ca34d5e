"""Whether what was forgotten comes back: every attack, method by method, after each of its epochs or steps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd

from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels
from palimpsest.report.names import NPO, SIMNPO
from palimpsest.report.pages import declared_metrics
from palimpsest.report.question import Found, Question
from palimpsest.report.remarks import remarks_on, unmoved_models
from palimpsest.report.rows import attacked, root_of_decades
from palimpsest.report.tables import Cell, Column, Table, make_table
from palimpsest.report.words import QUALITY, SIGNIFICANCE

HARDEST, EASIER = "shortest", "random"
# The settings in which the hardest attack may differ from the easier one that it is compared with.
APART = ("select", "draws")
# What is relearned, unless an attack says otherwise.
HELD = "forget"


@dataclass(frozen=True)
class Attacked(Found):
    """An attack in one place: its table, and what it counts, from 0, which is the model before it."""

    table: Table = field(kw_only=True)
    place: Place
    unit: str
    kind: str
    """Which part of the forget set is relearned; "" if the attack does something else."""
    titles: Mapping[str, str]
    """The titles of the metrics that the benchmark shows of an attack."""
    levels: Mapping[str, Mapping[str, float]]
    """What Original and Retrain reach, by metric."""
    easier: "Attacked | None" = None
    """The attack beside it that is the same but for relearning a random part."""
    is_drawn: bool = True
    """Whether it has panels."""

    @property
    def counts(self) -> list[int]:
        """After how many epochs or steps the models were asked."""
        return sorted({int(count) for count in self.place.rows["epoch"]})

    def panels(self) -> list[Panel]:
        """Return a panel per metric over the counts."""
        if not self.is_drawn:
            return []
        data = pd.DataFrame(
            {"method": row.method, "variant": row.variant, "main": self.table.stands(row), "x": count, "seed": 0}
            | {"metric": metric, "value": cell.mean, "low": low, "high": high}
            for metric in self.titles
            for row in self.table.rows
            for count in self.counts
            if (cell := row.cells.get(_key(metric, count)))
            for low, high in [_bounds(cell, metric)]
        )
        axis = Axis(f"{self.unit.capitalize()}s of {self.table.attack}")
        return metric_panels("curves", data, self.titles, axis, self.levels)

    def left(self, method: str) -> pd.DataFrame:
        """Return the forget quality of a method by seed and epoch of relearning; empty if the attack moved no weight."""
        row = self.table.standing.get(method)
        if row is None or (row.method, row.variant) in unmoved_models(self.table.remarks, self.table.attack):
            return pd.DataFrame()
        keys = {count: _key(QUALITY, count) for count in self.counts if count}
        return pd.DataFrame({count: row.cells[key].values for count, key in keys.items() if key in row.cells})


def _key(metric: str, count: int) -> str:
    return f"{metric}_epoch_{count}"


def _bounds(cell: Cell, metric: str) -> tuple[float, float]:
    """Return the range over seeds of a p-value, whose sd says nothing over decades, or else mean ± sd."""
    return cell.ends if metric == QUALITY else (cell.mean - (cell.sd or 0.0), cell.mean + (cell.sd or 0.0))


def _find(evidence: Evidence) -> Iterator[Found]:
    """Yield every attack in every place with metrics that their benchmark shows of an attack.

    A suite in which only Retrain was attacked has rows in the CSV. The page omits it if another suite has attacked methods. An
    attack of one step has a table, and no panels beside attacks of several.
    """
    titles = {metric.name: metric.attacked for metric in declared_metrics(evidence.study.kinds) if metric.attacked}
    known = evidence.study.attacks.items()
    shared = {attack: {name: value for name, value in of.items() if name not in APART} for attack, of in known}
    found: dict[tuple[object, ...], list[Attacked]] = {}
    for place in evidence.places(attacked(evidence.results), *titles):
        attacks = {str(attack): replace(place, rows=rows) for attack, rows in place.rows.groupby("attack", sort=True)}
        of_place = [_attacked(evidence, only, attack, titles) for attack, only in attacks.items()]
        easier = {of.table.attack: of for of in of_place if of.kind == EASIER}
        for of in of_place:
            like = next((easy for name, easy in easier.items() if shared[name] == shared.get(of.table.attack)), None)
            found.setdefault((*place.block.key, of.table.attack), []).append(replace(of, easier=like))
    several = any(len(of.counts) > 2 for suites in found.values() for of in suites)
    for suites in found.values():
        has_methods = any(of.table.rivals for of in suites)
        for of in suites:
            is_shown = of.table.rivals or not has_methods
            yield replace(of, is_drawn=len(of.counts) > 2 or not several) if is_shown else Found(of.title, (), of.numbers)


def _attacked(evidence: Evidence, place: Place, attack: str, titles: Mapping[str, str]) -> Attacked:
    rows, unit = place.rows, evidence.study.unit_of(attack)
    columns = [
        Column(_key(metric, count), head, f"{unit}\N{NO-BREAK SPACE}{count}" if count else "before")
        for metric, head in titles.items()
        for count in sorted({int(count) for count in rows["epoch"]})
    ]
    keyed = rows.assign(metric=[_key(metric, int(count)) for metric, count in zip(rows["metric"], rows["epoch"], strict=True)])
    told = [told for told in remarks_on(evidence.remarks, place.block) if told.attack == attack]
    table = replace(make_table(place.block, place.suite, keyed, columns, attack), remarks=told)
    numbers = rows[rows["metric"].str.removesuffix("_sd").isin(titles)]
    settings = evidence.study.attacks.get(attack, {})
    kind = str(settings.get("select", "")) if settings.get("data", HELD) == HELD else ""
    # Retrain's forget quality is 1 by definition.
    levels = evidence.levels(place, titles.keys() - {QUALITY})
    return Attacked(table.title, table.models, numbers, place, unit, kind, titles, levels, table=table)


def _robust(of: Found) -> Iterator[Pair]:
    """SimNPO has the higher mean forget quality over the epochs of the attack in which one of both is above the 5 % level."""
    if not isinstance(of, Attacked) or not of.kind:
        return
    simnpo, npo = (of.left(method) for method in (SIMNPO, NPO))
    if simnpo.empty or npo.empty:
        return
    # Two p-values of next to nothing differ in every seed and say nothing.
    both = simnpo.index.intersection(npo.index)
    means = pd.concat([simnpo.loc[both].mean(), npo.loc[both].mean()], axis=1).dropna().max(axis=1)
    told = means.index[means > SIGNIFICANCE]
    but = "" if len(told) else "both can be distinguished from Retrain after every epoch"
    epochs = told if len(told) else simnpo.columns.intersection(npo.columns)
    yield Pair(of.title, simnpo[epochs].mean(axis=1), npo[epochs].mean(axis=1), but=but)


def _harder(of: Found) -> Iterator[Pair]:
    """SimNPO's lead in that mean, by the root of its decades, is larger for the shortest answers than for random ones."""
    if isinstance(of, Attacked) and of.kind == HARDEST and of.easier:
        for hard in _robust(of):
            for easy in _robust(of.easier):
                if not (hard.but or easy.but):
                    yield Pair(of.place.title, _lead(hard), _lead(easy))


def _lead(pair: Pair) -> pd.Series:
    roots = pd.DataFrame({"greater": pair.greater, "than": pair.than}).apply(root_of_decades)
    return roots["greater"] - roots["than"]


LARGER = "SimNPO's lead is larger when the shortest answers are relearnt"
QUESTIONS = (
    Question(
        "relearning",
        "Does forgotten knowledge come back?",
        "Fig. 6",
        _find,
        "What is left of the forget set after each epoch or step of an attack, a row per attack, a line per method.",
        "What each attack brings back: after each of its epochs, or of its steps where it trains nothing, the model is asked the "
        "whole forget set; 0 is the model before the attack, and Retrain is the control. Bands: of forget quality the range of "
        "the seeds, of other metrics mean ± sd; among many methods only NPO and SimNPO have one. "
        "Beside attacks of several epochs, attacks of one step are in the tables alone.",
        (
            Claim("SimNPO is more robust to relearning than NPO", "Fig. 6", measure=_robust),
            Claim(LARGER, "Fig. 6", "lead", measure=_harder),
        ),
        partial(Grid, wide=2, height=190),
        note="An sd goes over the seeds and over the random draws of an attack.",
    ),
)
