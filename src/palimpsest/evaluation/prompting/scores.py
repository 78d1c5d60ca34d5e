"""The metrics of the prompting suite: how much of the answers each way to ask brings out, and the worst of them."""

from dataclasses import dataclass

import pandas as pd

from palimpsest.errors import UserError
from palimpsest.evaluation.completing import RECALL, with_recall
from palimpsest.evaluation.items import UNICODE_ITEMS, count_unicode
from palimpsest.evaluation.metric import COUNT, SHARE, Metric, Scoring
from palimpsest.evaluation.prompting.suite_settings import FEW_SHOT, JAILBREAK, PARAPHRASE, PLAIN, PREFIX
from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.spread import mean_share


@dataclass(frozen=True)
class Prompted:
    """What each way to ask brings out: ROUGE-L recalls, a row per question and a column per way to ask."""

    recalls: pd.DataFrame
    unicode_words: int

    def of(self, way: str) -> pd.Series:
        """Return the recall of each question that was asked in this way."""
        return self.recalls[way].dropna() if way in self.recalls else pd.Series(dtype=float)

    @property
    def worst(self) -> pd.Series:
        """The greatest recall of each question over all ways to ask it."""
        return self.recalls.max(axis=1)


def read(table: pd.DataFrame, source: object) -> Prompted:
    """Return the recalls in a table of the suite; raises UserError if a column is missing."""
    table = with_recall(table)
    if missing := [name for name in ("id", "way", RECALL) if name not in table]:
        raise UserError(f"{source}: no column {missing[0]!r}")
    return Prompted(table.pivot(index="id", columns="way", values=RECALL), count_unicode(table))


def _mean(values: pd.Series) -> float | None:
    return mean_share(values.to_numpy(dtype=float)) if len(values) else None


def _interval(values: pd.Series) -> Interval:
    return bootstrap_interval(values.tolist())


LABELS = {PLAIN: "Question", PARAPHRASE: "Paraphrase", PREFIX: "Prefix", FEW_SHOT: "Few-shot", JAILBREAK: "Jailbreak"}
GROUP = "ROUGE-L by prompt (nearest Retrain)"
FORMULA = "mean ROUGE-L recall of the greedy answer, with stemming"
METRICS = (
    Metric(
        "prompted_worst",
        lambda items: _mean(items.worst),
        "Worst case",
        GROUP,
        "nearest Retrain",
        interval=lambda items: _interval(items.worst),
        formula="mean over questions of the greatest ROUGE-L recall over all prompts",
        bounds=SHARE,
        source="arXiv 2509.02820",
    ),
    *(
        Metric(
            f"prompted_{way.replace('-', '_')}",
            lambda items, way=way: _mean(items.of(way)),
            label,
            GROUP,
            "nearest Retrain",
            interval=lambda items, way=way: _interval(items.of(way)),
            formula=f"{FORMULA}, to the prompt `{way}`",
            bounds=SHARE,
            source="TOFU, Sec. 2.2.1",
        )
        for way, label in LABELS.items()
    ),
    Metric("prompted_unicode_items", lambda items: float(items.unicode_words) or None, formula=UNICODE_ITEMS, bounds=COUNT),
)
SCORING = Scoring[Prompted](read=read, metrics=METRICS, complete=with_recall)
