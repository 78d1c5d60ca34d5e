"""What is left of a corpus that is to be forgotten: what a model recites, what it knows, and what its losses give away."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pandas as pd

from palimpsest.benchmarks.muse import requests
from palimpsest.benchmarks.muse.requests import FIRST, KEPT, KNOWN, LEAK, VERBATIM
from palimpsest.benchmarks.muse.scores import METRICS
from palimpsest.names import ORIGINAL, RETRAIN
from palimpsest.report.claims import Claim
from palimpsest.report.evidence import Evidence
from palimpsest.report.facts import grouped, hardly_forgotten, selections_made, shares_left
from palimpsest.report.figures import Axis, Panel
from palimpsest.report.names import NPO, SIMNPO
from palimpsest.report.question import Found, Question, by_column
from palimpsest.report.tables import Table, columns_of, numbers_of, points_of, score_tables

LEAK_PUBLISHED = "privleak_published"
NAMES = {VERBATIM: "VerbMem, forget set ↓", KNOWN: "KnowMem, forget set ↓", KEPT: "KnowMem, retain set ↑", LEAK: "PrivLeak → 0"}
# MUSE takes a PrivLeak so near to 0 for none.
NEAR = 5.0
BEST = (
    "Bold: the best mean among the unlearned models, of PrivLeak the nearest to 0. On the forget set none is marked: to fall "
    "below Retrain's level is no gain."
)


@dataclass(frozen=True)
class Corpus(Found):
    """What each model of one table recites, knows and gives away."""

    table: Table = field(kw_only=True)

    def panels(self) -> Iterator[Panel]:
        """Yield a panel per score, shaded where a model is as good as Retrain, or better."""
        for metric, title in NAMES.items():
            points = points_of(self.table, metric)
            if points.empty:
                continue
            levels = self.table.levels(metric)
            greatest, retrain = max(points["x"].max(), *levels.values(), 1.0), levels.get(RETRAIN)
            good = None if retrain is None else (retrain, greatest * 1.1) if metric == KEPT else (0.0, retrain)
            axis = Axis("← remembered · over-forgotten →") if metric == LEAK else Axis(zero=True)
            yield Panel("dots", points, title, axis, levels=levels, good=(-NEAR, NEAR) if metric == LEAK else good)

    def facts(self) -> Iterator[str]:
        """Yield which models recite, keep and give away how much."""
        retrain = self.table.value(RETRAIN, VERBATIM)
        if retrain is not None:
            yield from grouped(self.table, VERBATIM, {"Recites more than Retrain": lambda low, high: low > retrain})
        yield from shares_left(self.table, KEPT, "KnowMem on the retain set")
        sides: dict[str, Callable[[float, float], bool]] = {
            "Over-forgotten by PrivLeak": lambda low, high: low > NEAR,
            "Still remembered by PrivLeak": lambda low, high: high < -NEAR,
            f"Within {NEAR:g} % of never learnt": lambda low, high: low >= -NEAR and high <= NEAR,
        }
        yield from grouped(self.table, leak_of(self.table), sides, "Undecided by PrivLeak, as the bar crosses a limit")
        yield from selections_made(self.table.block)


def _find(evidence: Evidence) -> Iterator[Corpus]:
    first = [block for block in evidence.study.blocks if block.split == FIRST]
    for table in score_tables(evidence, columns_of(METRICS), first):
        yield Corpus(table.title, table.models, numbers_of(table), table=table, note=_published_retrain(evidence, table))


def _published_retrain(evidence: Evidence, table: Table) -> str:
    """Say which AUC the published Retrain has, where PrivLeak is against it."""
    name = table.block.benchmark
    auc = evidence.study.data[name].get("retrain_auc")
    is_against = any(column.key == LEAK_PUBLISHED for column in table.columns)
    return f"AUC of the published Retrain: {auc:g} ({name})." if is_against and auc is not None else ""


def leak_of(table: Table) -> str:
    """Return which PrivLeak a table has: against the Retrain of the study, or else against a published one."""
    return LEAK if any(column.key == LEAK for column in table.columns) else LEAK_PUBLISHED


def _leak(of: Corpus, method: str) -> pd.Series:
    """Distance of PrivLeak from 0."""
    return of.table.by_seed(method, leak_of(of.table)).abs()


def _hardly(of: Corpus) -> str:
    # If Original recites no more than Retrain, there is nothing to forget.
    retrain, original = (of.table.value(role, VERBATIM) for role in (RETRAIN, ORIGINAL))
    goal = retrain if retrain is not None and original is not None and original > retrain else None
    return hardly_forgotten(of.table, VERBATIM, goal, "forgotten")


NEARER, MORE_KEPT = "NPO's |PrivLeak| is further from 0 than SimNPO's", "SimNPO keeps more KnowMem on the retain set than NPO"
PRINTED = "Table 2, News"
QUESTIONS = (
    Question(
        "muse",
        "What is left of the corpus: recited, known, given away?",
        "Table 2",
        _find,
        "VerbMem and KnowMem on the forget set, KnowMem on the retain set and PrivLeak of every model, beside Retrain's.",
        "What each model recites and knows, 0 to 100, and PrivLeak. Marks are means over seeds and bars their range; of one seed "
        "bars are 95 % bootstrap intervals over the items. Shaded: as good as Retrain, or better. A PrivLeak below 0 says that "
        "the forget set is still remembered; above 0 the model is more surprised by it than one that never saw it, which gives "
        "it away as well.",
        (
            Claim(NEARER, PRINTED, LEAK, NPO, SIMNPO, (108.91, 72.93), _leak, _hardly, write="{:.1f}".format),
            Claim(MORE_KEPT, PRINTED, KEPT, SIMNPO, NPO, (39.65, 37.58), by_column(KEPT), _hardly),
        ),
        note=BEST,
        short="MUSE",
    ),
    *requests.QUESTIONS,
)
