"""The metrics of the MUSE suite (arXiv 2407.06460, Sec. 3.1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from palimpsest.benchmarks.muse.suite_settings import AUC, MIN_K
from palimpsest.errors import UserError
from palimpsest.evaluation.completing import with_min_k, with_rouge
from palimpsest.evaluation.items import UNICODE_ITEMS, count_unicode
from palimpsest.evaluation.metric import COUNT, PERCENT, SHARE, Best, Metric, Scoring
from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.privacy import auc_interval, membership_auc, priv_leak, priv_leak_interval
from palimpsest.metrics.spread import Array, mean

# The metric of each set that is a mean ROUGE-L F1 in percent.
ROUGE_METRICS = {"verbatim": "verbmem_f", "knowledge_forget": "knowmem_f", "knowledge_retain": "knowmem_r"}
LOSS_SETS = ("members", "nonmembers")


@dataclass(frozen=True)
class MuseItems:
    """The items of one model, each (items,): ROUGE-L F1 for `ROUGE_METRICS`, and Min-K losses of the texts in nats."""

    rouge: dict[str, Array]
    members: Array
    nonmembers: Array
    texts: tuple[tuple[str, ...], tuple[str, ...]]
    """The ids of members and of non-members, in the order of their losses."""
    unicode_words: Mapping[str, int] = field(default_factory=dict)
    """The number of items per set whose answer ROUGE does not compare by the words of `rouge_score` (`metrics.rouge`)."""


def completed(table: pd.DataFrame, min_k: float = MIN_K) -> pd.DataFrame:
    """Return a table of the suite with ROUGE-L F1 of each generated text and the Min-K loss of each scored one."""

    def f_measure(name: str, generation: str, answer: str) -> Sequence[float]:
        from palimpsest.metrics.rouge import rouge_l_f

        return [rouge_l_f(generation, answer)]

    return with_min_k(with_rouge(table, ["rouge_l_f"], f_measure), "losses", min_k)


def read_items(table: pd.DataFrame, source: object) -> MuseItems:
    """Return the items of one model; raises UserError that begins with `source` if a column of the MUSE suite is missing."""
    table = completed(table)
    try:
        sets = {name: table[table["set"] == name] for name in (*ROUGE_METRICS, *LOSS_SETS)}
        members, nonmembers = (sets[name] for name in LOSS_SETS)
        return MuseItems(
            rouge={name: sets[name]["rouge_l_f"].to_numpy(dtype=np.float64) for name in ROUGE_METRICS},
            members=members["min_k_loss"].to_numpy(dtype=np.float64),
            nonmembers=nonmembers["min_k_loss"].to_numpy(dtype=np.float64),
            texts=(tuple(members["id"]), tuple(nonmembers["id"])),
            unicode_words={name: count_unicode(sets[name]) for name in ROUGE_METRICS},
        )
    except KeyError as error:
        raise UserError(f"{source}: no column {error}") from None


def check_texts(items: MuseItems, source: object, retrain: MuseItems, retrain_source: object) -> None:
    """Raise UserError if a model and Retrain were evaluated on different texts."""
    if items.texts != retrain.texts:
        raise UserError(f"{source}: other texts than Retrain in {retrain_source}")


def said(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with generated text, with the prompt as the question."""
    spoken = table[table["set"].isin(ROUGE_METRICS)].rename(columns={"prompt": "question"})
    # An excerpt and a question of the same set may have the same id.
    return spoken.assign(id=spoken["set"] + "/" + spoken["id"])


def auc(items: MuseItems) -> float:
    """Return the AUC of separating members from non-members."""
    return float(membership_auc(items.members, items.nonmembers))


def published_leak(items: MuseItems, published: Mapping[str, float]) -> float | None:
    """Return PrivLeak in percent against the published AUC of Retrain; None if there is none."""
    return float(priv_leak(auc(items), published[AUC])) if AUC in published else None


def published_leak_interval(items: MuseItems, published: Mapping[str, float]) -> Interval:
    """Return the interval of `published_leak`; the published AUC is a constant, and only the model's AUC varies."""
    return Interval(*priv_leak(auc_interval(items.members, items.nonmembers), published[AUC]))


def _rouge_metrics(
    name: str, formula: str, label: str, group: str, best: Best = None, attacked: str = ""
) -> tuple[Metric, Metric]:
    """Return the mean ROUGE-L F1 of a set in percent, and the number of answers that `rouge_score` cannot read, if any."""
    metric = ROUGE_METRICS[name]

    def values(items: MuseItems) -> list[float]:
        return [float(value) for value in items.rouge[name]]

    def interval(items: MuseItems) -> Interval:
        low, high = bootstrap_interval(values(items))
        return Interval(100 * low, 100 * high)

    return (
        Metric(
            metric,
            lambda items: 100 * mean(values(items)),
            label,
            group,
            best,
            attacked=attacked,
            interval=interval,
            formula=f"100 · mean ROUGE-L F1 {formula}",
            bounds=PERCENT,
            source=SOURCE,
        ),
        Metric(
            f"{metric}_unicode_items",
            lambda items: float(items.unicode_words.get(name, 0)) or None,
            formula=UNICODE_ITEMS,
            bounds=COUNT,
        ),
    )


SOURCE = "MUSE, Sec. 3.1"
CONTINUATION = "of the greedy continuation of a forget text, against the true one, both cut to the same number of tokens"
ANSWER = "of the few-shot answers to questions about"
HOLDOUT, LEAK = "Forget set against holdout", "PrivLeak\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}0"
# An AUC is at least 0.
LEAKS = (-100.0, math.inf)
METRICS = (
    *_rouge_metrics("verbatim", CONTINUATION, "VerbMem\N{NO-BREAK SPACE}↓", "Forget set", attacked="VerbMem"),
    *_rouge_metrics(
        "knowledge_forget", f"{ANSWER} the forget set", "KnowMem\N{NO-BREAK SPACE}↓", "Forget set", attacked="KnowMem, forget set"
    ),
    *_rouge_metrics(
        "knowledge_retain",
        f"{ANSWER} retained texts that unlearning never used",
        "KnowMem\N{NO-BREAK SPACE}↑",
        "Retain set",
        "highest",
    ),
    Metric(
        AUC,
        auc,
        "AUC",
        HOLDOUT,
        interval=lambda items: auc_interval(items.members, items.nonmembers),
        formula="probability that a forget text has a higher Min-K loss than a held-out text",
        bounds=SHARE,
        source=f"{SOURCE}; Min-K: arXiv 2310.16789",
    ),
    Metric(
        "privleak",
        lambda items, retrain: priv_leak(auc(items), auc(retrain)),
        LEAK,
        HOLDOUT,
        "nearest 0",
        needs="retrain",
        attacked="PrivLeak",
        # Texts are resampled together with the losses of both models.
        interval=lambda items, retrain: priv_leak_interval(
            (items.members, retrain.members), (items.nonmembers, retrain.nonmembers)
        ),
        formula="100 · (AUC - AUC of Retrain) / AUC of Retrain",
        bounds=LEAKS,
        source=SOURCE,
    ),
    Metric(
        "privleak_published",
        published_leak,
        f"{LEAK}, published\N{NO-BREAK SPACE}Retrain",
        HOLDOUT,
        "nearest 0",
        needs="published",
        interval=published_leak_interval,
        formula="`privleak` against `retrain_auc` of the benchmark",
        bounds=LEAKS,
        source=SOURCE,
    ),
)


SCORING = Scoring[MuseItems](
    read=read_items,
    metrics=METRICS,
    complete=completed,
    symbols="The Min-K loss is the mean of the highest losses of a text's tokens, in nats; `min_k` of the suite is their share.",
    check=check_texts,
    examples={
        "verbatim": (2, "forget"),
        "knowledge_forget": (2, "forget"),
        "knowledge_retain": (4, "retain"),
    },
    said=said,
    said_numbers={"rouge_l_f": "ROUGE-L F1"},
)
