"""The metrics of the sampling suite: leak@k."""

from dataclasses import dataclass

import pandas as pd

from palimpsest.errors import UserError
from palimpsest.evaluation.completing import RECALL, with_recall
from palimpsest.evaluation.items import UNICODE_ITEMS, count_unicode
from palimpsest.evaluation.metric import COUNT, SHARE, Metric, Scoring
from palimpsest.metrics.leaks import leak_at, leak_interval
from palimpsest.metrics.spread import Array

# Every power of 2 up to the most samples of a suite.
COUNTS = tuple(2**power for power in range(11))


@dataclass(frozen=True)
class Sampled:
    """The ROUGE-L recall of each sampled answer, shape (questions, samples)."""

    recalls: Array
    unicode_words: int


def read(table: pd.DataFrame, source: object) -> Sampled:
    """Return the recalls in a table of the suite; raises UserError if a column is missing or a question lacks samples."""
    table = with_recall(table)
    if missing := [name for name in ("id", "sample", RECALL) if name not in table]:
        raise UserError(f"{source}: no column {missing[0]!r}")
    recalls = table.pivot(index="id", columns="sample", values=RECALL)
    if recalls.isna().any(axis=None):
        raise UserError(f"{source}: the questions have different numbers of samples")
    return Sampled(recalls.to_numpy(dtype=float), count_unicode(table))


METRICS = (
    *(
        Metric(
            f"leak_at_{k}",
            lambda items, k=k: leak_at(items.recalls, k) if items.recalls.shape[1] >= k else None,
            f"leak@{k}",
            "ROUGE-L of the best of k samples (nearest Retrain)",
            "nearest Retrain",
            interval=lambda items, k=k: leak_interval(items.recalls, k),
            formula=f"mean over questions of the expected greatest ROUGE-L recall among k = {k} sampled answers; the interval is "
            "Hoeffding's, over the samples",
            bounds=SHARE,
            source="arXiv 2511.04934",
        )
        for k in COUNTS
    ),
    Metric("leak_unicode_items", lambda items: float(items.unicode_words) or None, formula=UNICODE_ITEMS, bounds=COUNT),
)
SCORING = Scoring[Sampled](read=read, metrics=METRICS, complete=with_recall)
