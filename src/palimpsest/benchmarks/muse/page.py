"""What is left of a corpus that is to be forgotten: what a model recites, what it knows, and what its losses give away."""

from collections.abc import Callable, Iterator

from palimpsest.benchmarks.muse import requests
from palimpsest.benchmarks.muse.claims import CLAIMS, FIRST, KEPT, KNOWN, LEAK, LEAK_PUBLISHED, VERBATIM, leak_of
from palimpsest.benchmarks.muse.scores import METRICS
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.evidence import Evidence
from palimpsest.report.facts import grouped, selections_made, shares_left
from palimpsest.report.figures import Axis, Grid, Panel
from palimpsest.report.question import Answer, Question
from palimpsest.report.tables import Table, columns_of, numbers_of, points_of, score_tables
from palimpsest.report.words import under_titles, variants_shown

NAMES = {VERBATIM: "VerbMem, forget set ↓", KNOWN: "KnowMem, forget set ↓", KEPT: "KnowMem, retain set ↑", LEAK: "PrivLeak → 0"}
# MUSE takes a PrivLeak so near to 0 for none.
NEAR = 5.0
BEST = (
    "Bold: the best mean among the unlearned models, of PrivLeak the nearest to 0. On the forget set none is marked: to fall "
    "below Retrain's level is no gain."
)


def _tables(evidence: Evidence) -> list[Table]:
    first = [block for block in evidence.study.blocks if block.split == FIRST]
    return score_tables(evidence, columns_of(METRICS), first)


def _show(evidence: Evidence, tables: list[Table]) -> Answer:
    return Answer(
        figure=Grid([(table.title, list(_panels(table))) for table in tables]),
        alt="VerbMem and KnowMem on the forget set, KnowMem on the retain set and PrivLeak of every model, beside Retrain's.",
        caption="What each model recites and knows, 0 to 100, and PrivLeak. Marks are means over seeds and bars their range; of "
        "one seed bars are 95 % bootstrap intervals over the items. Shaded: as good as Retrain, or better. A PrivLeak below 0 "
        "says that the forget set is still remembered; above 0 the model is more surprised by it than one that never saw it, "
        "which gives it away as well." + variants_shown((row.method, row.variant) for table in tables for row in table.rivals),
        numbers=numbers_of(tables),
        tables=tables,
        facts=under_titles([(table.title, text) for table in tables for text in _facts(table)]),
        note=f"{BEST} {tables[0].how_to_read}{_constants(evidence, tables)}",
    )


def _facts(table: Table) -> Iterator[str]:
    retrain = table.value(RETRAIN, VERBATIM)
    if retrain is not None:
        yield from grouped(table, VERBATIM, {"Recites more than Retrain": lambda low, high: low > retrain})
    yield from shares_left(table, KEPT, "KnowMem on the retain set")
    sides: dict[str, Callable[[float, float], bool]] = {
        "Over-forgotten by PrivLeak": lambda low, high: low > NEAR,
        "Still remembered by PrivLeak": lambda low, high: high < -NEAR,
        f"Within {NEAR:g} % of never learnt": lambda low, high: low >= -NEAR and high <= NEAR,
    }
    yield from grouped(table, leak_of(table), sides, "Undecided by PrivLeak, as the bar crosses a limit")
    yield from selections_made(table.block)


def _constants(evidence: Evidence, tables: list[Table]) -> str:
    """Say which AUC the published Retrain has, where PrivLeak is against it."""
    shown = [table.block.benchmark for table in tables if any(column.key == LEAK_PUBLISHED for column in table.columns)]
    aucs = {name: auc for name in shown if (auc := evidence.study.data[name].get("retrain_auc")) is not None}
    return f" AUC of the published Retrain: {', '.join(f'{auc:g} ({name})' for name, auc in aucs.items())}." if aucs else ""


def _panels(table: Table) -> Iterator[Panel]:
    for metric, title in NAMES.items():
        points = points_of(table, metric)
        if points.empty:
            continue
        levels = {role: level for role in (RETRAIN, ORIGINAL) if (level := table.value(role, metric)) is not None}
        greatest, retrain = max(points["x"].max(), *levels.values(), 1.0), levels.get(RETRAIN)
        good = None if retrain is None else (retrain, greatest * 1.1) if metric == KEPT else (0.0, retrain)
        if metric == LEAK:
            yield Panel("dots", points, title, Axis("← remembered      over-forgotten →"), levels=levels, good=(-NEAR, NEAR))
        else:
            yield Panel("dots", points, title, Axis(zero=True), levels=levels, good=good)


QUESTIONS = (
    Question("muse", "What is left of the corpus: recited, known, given away?", "Table 2", _tables, _show, CLAIMS, "MUSE"),
    *requests.QUESTIONS,
)
