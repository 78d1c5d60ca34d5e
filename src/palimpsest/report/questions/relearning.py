"""Whether what was forgotten comes back when a part of it is learnt again: every attack, method by method."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from palimpsest.report.evidence import Answer, Evidence
from palimpsest.report.figures import relearning_curves
from palimpsest.report.names import method_name
from palimpsest.report.remarks import unmoved_models
from palimpsest.report.rows import attacked
from palimpsest.report.study import Study
from palimpsest.report.tables import EPOCH, RELEARNED, Table, relearning_tables, table1
from palimpsest.report.words import (
    QUALITY,
    SIGNIFICANCE,
    against_paper,
    format_quality,
    joined,
    table_of,
    under_titles,
    variants_shown,
)

QUESTION = "Does the forgotten come back?"
PAPER = "Fig. 6"
ROBUST, OTHER = "simnpo", "npo"
NAMES = (method_name(ROBUST), method_name(OTHER))
HARDEST = "shortest"


class Lead(NamedTuple):
    """How far SimNPO's forget quality is above NPO's in one attack: by seed, the mean over the epochs that can tell."""

    table: Table
    select: str
    by_seed: pd.Series


def answer(evidence: Evidence) -> Answer | None:
    """Compare what is left of forgetting after relearning; None where nothing was attacked."""
    blocks = evidence.study.blocks
    tables = relearning_tables(evidence.results, blocks, evidence.remarks)
    if not tables:
        return None
    results = evidence.results
    standing = [(row.method, row.variant) for table in tables for row in table.standing.values()]
    metrics = [name for metric in RELEARNED for name in (metric, f"{metric}_sd")]
    return Answer(
        findings=under_titles(list(_sentences(evidence.study, tables))),
        figure=relearning_curves(tables, table1(results, blocks, {})),
        alt="Forget quality and forget probability after each epoch of relearning, one column an attack, one line a method.",
        caption=(
            "The unlearned models are trained again on a part of the forget set, and asked the whole of it: forget quality "
            "(above) and probability of the forget answers (below) after each epoch. Bands: above the range of the seeds, below "
            "mean ± sd; among many methods only NPO and SimNPO have one." + variants_shown(standing)
        ),
        numbers=attacked(results[results["metric"].isin(metrics)]).reset_index(drop=True),
        table=_text_table(tables),
    )


def _sentences(study: Study, tables: Sequence[Table]) -> Iterator[tuple[str, str]]:
    """Yield sentences under their titles: whether SimNPO is more robust, against what most, and what is left to all."""
    leads = []
    for table in tables:
        lead = _lead(study, table)
        claim, contrary = (f"{one} is more robust than {two} to {table.attack}" for one, two in (NAMES, NAMES[::-1]))
        if lead is None:
            yield table.title, f"Whether {claim} is left open: not both were attacked with the same seed."
        elif lead.by_seed.empty:
            numbers = f"{_numbers(table)}, both told apart from Retrain after every epoch"
            yield table.title, f"Whether {claim} is left open: {numbers}."
        else:
            leads.append(lead)
            yield table.title, against_paper(lead.by_seed, claim, contrary, _numbers(table))
    for hard in leads:
        for easy in leads:
            if hard.table.title == easy.table.title and hard.select == HARDEST != easy.select:
                yield hard.table.title, _hardest(hard, easy)
    for table in tables:
        if left := _left(table):
            yield table.title, left
        yield from ((table.title, f"{told.label}, {told.where}: {told.text}.") for told in table.remarks)


def _at(table: Table, method: str, epoch: int) -> pd.Series:
    """Return the forget quality of the variant that stands for a method by seed; empty where there is none.

    An attack that moved no weight says nothing of a model.
    """
    row, key = table.standing.get(method), EPOCH.format(metric=QUALITY, epoch=epoch)
    if row and epoch and (row.method, row.variant) in unmoved_models(table.remarks, table.attack):
        return pd.Series(dtype=float)
    return pd.Series(row.cells[key].values if row and key in row.cells else {}, dtype=float)


def _epochs(table: Table) -> list[int]:
    """Return the epochs of an attack, 0 being the model before it."""
    prefix = EPOCH.format(metric=QUALITY, epoch="")
    return sorted(int(column.key.removeprefix(prefix)) for column in table.columns if column.key.startswith(prefix))


def _lead(study: Study, table: Table) -> Lead | None:
    """Return SimNPO's lead where both were attacked; by no seed where both are told apart from Retrain after every epoch."""
    differences = []
    pairs = [_at(table, ROBUST, epoch).align(_at(table, OTHER, epoch), join="inner") for epoch in _epochs(table) if epoch]
    if not any(len(ours) for ours, _ in pairs):
        return None
    for ours, theirs in pairs:
        # Two p-values of next to nothing differ in every seed and say nothing.
        if max(ours.mean(), theirs.mean()) > SIGNIFICANCE:
            differences.append(ours - theirs)
    by_seed = pd.concat(differences, axis=1).dropna().mean(axis=1) if differences else pd.Series(dtype=float)
    return Lead(table, str(study.attacks.get(table.attack, {}).get("select", "")), by_seed)


def _numbers(table: Table) -> str:
    """Write SimNPO's forget quality against NPO's, epoch by epoch, over the seeds of both."""
    parts = []
    for epoch in _epochs(table):
        ours, theirs = _at(table, ROBUST, epoch).align(_at(table, OTHER, epoch), join="inner")
        if len(ours):
            when = f"after epoch {epoch}" if epoch else "before"
            parts.append(f"{format_quality(ours.mean())} ({format_quality(theirs.mean())}) {when}")
    return f"SimNPO's forget quality (NPO's) is {joined(parts)}"


def _hardest(hard: Lead, easy: Lead) -> str:
    """Say against which of two attacks SimNPO's lead is larger."""
    more, less = hard.table.attack, easy.table.attack
    ours, theirs = hard.by_seed.align(easy.by_seed, join="inner")
    where = f"mean over the epochs with one of the two above {SIGNIFICANCE:g}"
    return against_paper(
        ours - theirs,
        f"SimNPO's lead is larger against {more} than against {less}",
        f"SimNPO's lead is smaller against {more} than against {less}",
        f"{ours.mean():+.3f} and {theirs.mean():+.3f} of forget quality, {where}",
    )


def _left(table: Table) -> str:
    """Say which methods are still not told apart from Retrain after the last epoch; "" where no forget quality is known."""
    last = max(_epochs(table), default=0)
    rows = {row.method: _at(table, row.method, last) for row in table.rows}
    means = {method: by_seed.mean() for method, by_seed in rows.items() if len(by_seed)}
    if not means:
        return ""
    after = f"After epoch {last} of {table.attack}"
    kept = [f"{method_name(method)} ({format_quality(mean)})" for method, mean in means.items() if mean > SIGNIFICANCE]
    if kept:
        among = f", of {len(means)} methods attacked" if len(means) > 1 else ""
        return f"{after} a mean forget quality above {SIGNIFICANCE:g} is left to {joined(kept)}{among}."
    best = max(means, key=lambda method: means[method])
    highest = f"the highest is {method_name(best)}'s, {format_quality(means[best])}"
    return f"{after} no mean forget quality is above {SIGNIFICANCE:g}; {highest}."


def _text_table(tables: Sequence[Table]) -> pd.DataFrame:
    """Return a row a model and attack: mean ± sd before relearning and after each epoch."""
    lines = []
    for table in tables:
        for row in table.rows:
            line = {"Model": row.label, "Attack": table.attack}
            for column in table.columns:
                cell = row.cells.get(column.key)
                spread = f" ± {column.spread(cell.mean, cell.sd)}" if cell and cell.sd is not None else ""
                line[f"{column.group}, {column.head}"] = f"{column.text(cell.mean)}{spread}" if cell else ""
            lines.append((table.title, line))
    return table_of(lines)
