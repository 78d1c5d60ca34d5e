"""The metrics of RWKU's suite (RWKU, arXiv 2406.10890, Sec. 4)."""

from collections.abc import Mapping

import pandas as pd

from palimpsest.evaluation.completing import RECALL, with_recall
from palimpsest.evaluation.metric import COUNT, SHARE, Metric, Scoring
from palimpsest.evaluation.sets import split_sets, text_losses
from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.spread import mean

# The items of one model by set; a set without items is missing.
Sets = Mapping[str, pd.DataFrame]
COLUMNS = ("set", "id", "answer", "generation", "tokens", "nll")
SOURCE = "RWKU, arXiv 2406.10890, Sec. 4; the official code uses another package for ROUGE, without stemming"
PEOPLE, NEIGHBOURS = "People to forget\N{NO-BREAK SPACE}↓", "Neighbours\N{NO-BREAK SPACE}↑"
# The head of the column of each set of probes.
HEADS = {
    "blanks": "Blanks",
    "questions": "Questions",
    "attacks": "Attacks",
    "neighbour_blanks": "Blanks",
    "neighbour_questions": "Questions",
}
TEXTS = {"members": "people to forget", "nonmembers": "others"}


def read_sets(table: pd.DataFrame, source: object) -> Sets:
    """Return the items of one model; raises UserError that begins with `source` if a column of the suite is missing."""
    return split_sets(with_recall(table), COLUMNS, source)


def said(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with answers, with their score."""
    spoken = with_recall(table[table["generation"].notna()]).rename(columns={"prompt": "question", RECALL: "score"})
    return spoken.assign(id=spoken["set"] + "/" + spoken["id"])


def recalls(rows: pd.DataFrame) -> list[float]:
    """Return the ROUGE-L recall of each answer."""
    return rows[RECALL].astype(float).tolist()


def _of_probes(name: str, head: str) -> Metric:
    near = name.startswith("neighbour")

    def compute(sets: Sets) -> float | None:
        return mean(recalls(sets[name])) if name in sets else None

    def interval(sets: Sets) -> Interval:
        return bootstrap_interval(recalls(sets[name]))

    return Metric(
        f"recall_{name}",
        compute,
        head,
        NEIGHBOURS if near else PEOPLE,
        "highest" if near else "nearest 0",
        attacked="" if near else f"Recall, {head.lower()}",
        interval=interval,
        formula="mean ROUGE-L recall of the greedy answer",
        bounds=SHARE,
        source=SOURCE,
    )


def _of_texts(name: str, about: str) -> Metric:
    def compute(sets: Sets) -> float | None:
        return mean(text_losses(sets[name]).tolist()) if name in sets else None

    def interval(sets: Sets) -> Interval:
        return bootstrap_interval(text_losses(sets[name]).tolist())

    return Metric(
        f"loss_{name}",
        compute,
        about.capitalize(),
        "Loss of texts",
        interval=interval,
        formula=f"mean loss per token of texts about {about}, in nats",
        bounds=COUNT,
        source="RWKU, arXiv 2406.10890, Sec. 4: membership inference by loss",
    )


METRICS = (*(_of_probes(*item) for item in HEADS.items()), *(_of_texts(*item) for item in TEXTS.items()))
SCORING = Scoring[Sets](
    read=read_sets,
    metrics=METRICS,
    complete=with_recall,
    examples={"questions": (3, "forget"), "attacks": (3, "forget"), "neighbour_questions": (2, "retain")},
    said=said,
    said_numbers={"score": "ROUGE-L"},
)
