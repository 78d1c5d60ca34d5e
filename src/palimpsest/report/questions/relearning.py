"""Whether what was forgotten comes back: every attack, method by method, after each of its epochs or steps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from palimpsest.report.claims import Claim, Pair, each
from palimpsest.report.evidence import Evidence, Place
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels
from palimpsest.report.names import NPO, SIMNPO
from palimpsest.report.question import Answer, Question
from palimpsest.report.remarks import remarks_on, unmoved_models
from palimpsest.report.rows import attacked
from palimpsest.report.study import TRAINED
from palimpsest.report.tables import Cell, Column, Table, make_table
from palimpsest.report.words import QUALITY, SCORES, SIGNIFICANCE, variants_shown

HARDEST, EASIER, PROBABILITY = "shortest", "random", "forget_probability"
MEASURED = {QUALITY: SCORES[QUALITY], PROBABILITY: "Forget probability"}


@dataclass(frozen=True)
class Attacked:
    """An attack in one place: its table, and what it counts, from 0, which is the model before it."""

    place: Place
    table: Table
    unit: str
    kind: str
    """Which part of the forget set is relearned."""
    counts: list[int]


def _key(metric: str, count: int) -> str:
    return f"{metric}_epoch_{count}"


def all_attacked(evidence: Evidence) -> Iterator[Attacked]:
    """Yield every attack in every place that asks for forget quality or probability.

    A suite for which only Retrain was attacked is left out where another has methods.
    """
    found: dict[tuple[object, ...], list[Attacked]] = {}
    for place in evidence.places(attacked(evidence.results), *MEASURED):
        for attack, rows in place.rows.groupby("attack", sort=True):
            found.setdefault((*place.block.key, attack), []).append(_attacked(evidence, replace(place, rows=rows), str(attack)))
    for of in found.values():
        yield from [each for each in of if each.table.rivals] or of


def _attacked(evidence: Evidence, place: Place, attack: str) -> Attacked:
    rows, unit = place.rows, evidence.study.unit_of(attack)
    counts = sorted(int(count) for count in rows["epoch"].unique())
    columns = [
        Column(_key(metric, count), head, f"{unit}\N{NO-BREAK SPACE}{count}" if count else "before")
        for metric, head in MEASURED.items()
        for count in counts
    ]
    keyed = rows.assign(metric=[_key(metric, int(count)) for metric, count in zip(rows["metric"], rows["epoch"], strict=True)])
    kind = str(evidence.study.attacks.get(attack, {}).get("select", ""))
    told = [told for told in remarks_on(evidence.remarks, place.block) if told.attack == attack]
    return Attacked(
        place, replace(make_table(place.block, place.suite, keyed, columns, attack), remarks=told), unit, kind, counts
    )


def _show(evidence: Evidence, found: list[Attacked]) -> Answer:
    results = evidence.results
    metrics = [name for metric in MEASURED for name in (metric, f"{metric}_sd")]
    return Answer(
        figure=Grid([(of.table.title, _panels(evidence, of)) for of in found], wide=2, height=2.6),
        alt="Forget quality and forget probability after each epoch or step of an attack, a row per attack, a line per method.",
        caption="What each attack brings back: after each of its epochs, or of its steps where it trains nothing, the model is "
        "asked the whole forget set; 0 is the model before the attack, and Retrain is the control. Bands: of forget quality the "
        "range of the seeds, of probability mean ± sd; among many methods only NPO and SimNPO have one."
        + variants_shown((row.method, row.variant) for of in found for row in of.table.standing.values()),
        numbers=attacked(results[results["metric"].isin(metrics)]).reset_index(drop=True),
        tables=[of.table for of in found],
        note="An sd goes over the seeds and over the random draws of an attack.",
    )


def _panels(evidence: Evidence, of: Attacked) -> list[Panel]:
    data = pd.DataFrame(
        {"method": row.method, "variant": row.variant, "main": of.table.stands(row), "x": count, "seed": 0}
        | {"metric": metric, "value": cell.mean, "low": low, "high": high}
        for metric in MEASURED
        for row in of.table.rows
        for count in of.counts
        if (cell := row.cells.get(_key(metric, count)))
        for low, high in [_bounds(cell, metric)]
    )
    axis = Axis(f"{of.unit.capitalize()}s of {of.table.attack}")
    return metric_panels("curves", data, MEASURED, axis, evidence.levels(of.place, [PROBABILITY]))


def _bounds(cell: Cell, metric: str) -> tuple[float, float]:
    """Return the range over seeds of a p-value, whose sd says nothing over decades, or else mean ± sd."""
    if metric == QUALITY:
        return min(cell.values.values()), max(cell.values.values())
    return cell.mean - (cell.sd or 0.0), cell.mean + (cell.sd or 0.0)


def _left(of: Attacked, method: str) -> pd.DataFrame:
    """Return the forget quality of a method by seed and epoch of relearning; empty where the attack moved no weight."""
    row = of.table.standing.get(method)
    if row is None or (row.method, row.variant) in unmoved_models(of.table.remarks, of.table.attack):
        return pd.DataFrame()
    keys = {count: _key(QUALITY, count) for count in of.counts if count}
    return pd.DataFrame({count: row.cells[key].values for count, key in keys.items() if key in row.cells})


def _robust(of: Attacked) -> Pair | None:
    """Return what is left to SimNPO and NPO, by seed, as the mean over the epochs that can tell."""
    simnpo, npo = (_left(of, method) for method in (SIMNPO, NPO))
    if of.unit != TRAINED or simnpo.empty or npo.empty:
        return None
    # Two p-values of next to nothing differ in every seed and say nothing.
    both = simnpo.index.intersection(npo.index)
    means = pd.concat([simnpo.loc[both].mean(), npo.loc[both].mean()], axis=1).dropna().max(axis=1)
    told = means.index[means > SIGNIFICANCE]
    but = "" if len(told) else "both can be distinguished from Retrain after every epoch"
    epochs = told if len(told) else simnpo.columns.intersection(npo.columns)
    return Pair(of.table.title, simnpo[epochs].mean(axis=1), npo[epochs].mean(axis=1), but=but)


def _harder(found: list[Attacked]) -> Iterator[Pair]:
    """Yield SimNPO's lead against relearning of the shortest answers and of random ones."""
    by_kind: dict[tuple[str, str], pd.Series] = {}
    for of in found:
        pair = _robust(of)
        if pair and not pair.but:
            by_kind.setdefault((of.place.title, of.kind), (pair.greater - pair.than).dropna())
    for (title, kind), lead in by_kind.items():
        if kind == HARDEST and (title, EASIER) in by_kind:
            yield Pair(title, lead, by_kind[title, EASIER])


QUESTIONS = (
    Question(
        "relearning",
        "Does the forgotten come back?",
        "Fig. 6",
        all_attacked,
        _show,
        (
            Claim("SimNPO is more robust to relearning than NPO", "Fig. 6", measure=each(_robust)),
            Claim("SimNPO's lead is larger when the shortest answers are relearnt", "Fig. 6", "lead", measure=_harder),
        ),
    ),
)
