"""Whether what was forgotten comes back when a part of it is learnt again: every attack, method by method."""

from collections.abc import Iterator

import pandas as pd

from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim, Pair
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Axis, Grid, Panel, metric_panels
from palimpsest.report.names import NPO, SIMNPO
from palimpsest.report.question import Answer, Question
from palimpsest.report.remarks import unmoved_models
from palimpsest.report.rows import attacked
from palimpsest.report.tables import EPOCH, RELEARNED, Cell, Table, relearning_tables
from palimpsest.report.words import QUALITY, SIGNIFICANCE, table_of, under_titles, variants_shown

HARDEST, EASIER, PROBABILITY = "shortest", "random", "forget_probability"


def _tables(evidence: Evidence) -> list[Table]:
    return relearning_tables(evidence.results, evidence.study.blocks, evidence.remarks)


def _answer(evidence: Evidence) -> Answer | None:
    tables = _tables(evidence)
    if not tables:
        return None
    results = evidence.results
    standing = [(row.method, row.variant) for table in tables for row in table.standing.values()]
    metrics = [name for metric in RELEARNED for name in (metric, f"{metric}_sd")]
    notes = [(table.title, f"{told.label}, {told.where}: {told.text}.") for table in tables for told in table.remarks]
    return Answer(
        figure=Grid([(f"{table.title}: {table.attack}", _panels(evidence, table)) for table in tables], wide=2, height=2.6),
        alt="Forget quality and forget probability after each epoch of relearning, a row an attack, a line a method.",
        caption="The unlearned models are trained again on a part of the forget set, and asked the whole of it. Bands: of forget "
        "quality the range of the seeds, of probability mean ± sd; among many methods only NPO and SimNPO have one."
        + variants_shown(standing),
        numbers=attacked(results[results["metric"].isin(metrics)]).reset_index(drop=True),
        table=table_of([(table.title, _row(table, row.label, row.cells)) for table in tables for row in table.rows]),
        facts=under_titles(notes),
    )


def _row(table: Table, label: str, cells: dict[str, Cell]) -> dict[str, str]:
    row = {"Model": label, "Attack": table.attack}
    for column in table.columns:
        cell = cells.get(column.key)
        spread = f" ± {column.spread(cell.mean, cell.sd)}" if cell and cell.sd is not None else ""
        row[f"{column.group}, {column.head}"] = f"{column.text(cell.mean)}{spread}" if cell else ""
    return row


def _panels(evidence: Evidence, table: Table) -> list[Panel]:
    data = pd.DataFrame(
        {"method": row.method, "variant": row.variant, "main": table.stands(row), "x": epoch, "seed": 0}
        | {"metric": metric, "value": cell.mean, "low": low, "high": high}
        for metric in RELEARNED
        for row in table.rows
        for epoch in epochs_of(table)
        if (cell := row.cells.get(EPOCH.format(metric=metric, epoch=epoch)))
        for low, high in [_bounds(cell, metric)]
    )
    levels = {role: level for role in (RETRAIN, ORIGINAL) if (level := _level(evidence, table, role))}
    return metric_panels("curves", data, RELEARNED, Axis("Epochs of relearning"), {PROBABILITY: levels})


def _bounds(cell: Cell, metric: str) -> tuple[float, float]:
    """Return the range over seeds of a p-value, whose sd says nothing over decades, or else mean ± sd."""
    if metric == QUALITY:
        return min(cell.values.values()), max(cell.values.values())
    return cell.mean - (cell.sd or 0.0), cell.mean + (cell.sd or 0.0)


def _level(evidence: Evidence, table: Table, role: str) -> float | None:
    places = [place for place in evidence.finished(PROBABILITY) if place.title == table.title]
    values = places[0].by_seed(PROBABILITY, role) if places else pd.Series(dtype=float)
    return float(values.mean()) if len(values) else None


def epochs_of(table: Table) -> list[int]:
    """Return the epochs of an attack, 0 being the model before it."""
    return sorted({int(column.key.rpartition("_")[2]) for column in table.columns})


def _left(table: Table, method: str) -> pd.DataFrame:
    """Return the forget quality of a method by seed and epoch of relearning; empty where the attack moved no weight."""
    row = table.standing.get(method)
    if row is None or (row.method, row.variant) in unmoved_models(table.remarks, table.attack):
        return pd.DataFrame()
    keys = {epoch: EPOCH.format(metric=QUALITY, epoch=epoch) for epoch in epochs_of(table) if epoch}
    return pd.DataFrame({epoch: row.cells[key].values for epoch, key in keys.items() if key in row.cells})


def _robust(table: Table) -> Pair | None:
    """Return what is left to SimNPO and NPO, by seed, as the mean over the epochs that can tell."""
    simnpo, npo = (_left(table, method) for method in (SIMNPO, NPO))
    if simnpo.empty or npo.empty:
        return None
    # Two p-values of next to nothing differ in every seed and say nothing.
    both = simnpo.index.intersection(npo.index)
    means = pd.concat([simnpo.loc[both].mean(), npo.loc[both].mean()], axis=1).dropna().max(axis=1)
    told = means.index[means > SIGNIFICANCE]
    title = f"{table.title}: {table.attack}"
    if told.empty:
        but = "both can be distinguished from Retrain after every epoch"
        return Pair(title, simnpo.mean(axis=1), npo.mean(axis=1), but=but)
    return Pair(title, simnpo[told].mean(axis=1), npo[told].mean(axis=1))


def _robustness(evidence: Evidence) -> Iterator[Pair]:
    yield from (pair for table in _tables(evidence) if (pair := _robust(table)))


def _harder(evidence: Evidence) -> Iterator[Pair]:
    """Yield SimNPO's lead against relearning of the shortest answers and of random ones."""
    by_kind: dict[tuple[str, str], pd.Series] = {}
    for table in _tables(evidence):
        pair = _robust(table)
        if pair and not pair.but:
            kind = str(evidence.study.attacks.get(table.attack, {}).get("select", ""))
            by_kind.setdefault((table.title, kind), (pair.greater - pair.than).dropna())
    for (title, kind), lead in by_kind.items():
        if kind == HARDEST and (title, EASIER) in by_kind:
            yield Pair(title, lead, by_kind[title, EASIER])


QUESTIONS = (
    Question(
        "relearning",
        "Does the forgotten come back?",
        "Fig. 6",
        _answer,
        (
            Claim("SimNPO is more robust to relearning than NPO", "Fig. 6", measure=_robustness),
            Claim("SimNPO's lead is larger when the shortest answers are relearnt", "Fig. 6", "lead", measure=_harder),
        ),
    ),
)
