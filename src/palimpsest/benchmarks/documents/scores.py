"""The metrics of the suite of documents."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from palimpsest.evaluation.completing import with_memorisation, with_min_k, with_rouge
from palimpsest.evaluation.distance import Sets, check_same_items, distance_from_retrain, token_losses
from palimpsest.evaluation.metric import SHARE, Best, Metric, Scoring
from palimpsest.evaluation.sets import split_sets
from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.memorisation import EXTRACTION, EXTRACTION_SOURCE
from palimpsest.metrics.privacy import auc_interval, membership_auc
from palimpsest.metrics.spread import Array, mean

COLUMNS = ("set", "id", "generation", "rouge_l", "tokens", "nll", "min_k_loss", "extraction_strength")
# The fraction of the tokens, the least likely ones, by which members are separated from non-members, as in MUSE.
MIN_K = 0.4
FORGET, RETAIN, HOLDOUT = "forget", "retain", "holdout"
# The common head of the columns of a set, and what is best in them.
FORGOTTEN: tuple[str, Best] = ("Forget set\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}Retrain", "nearest Retrain")
KEPT: tuple[str, Best] = ("Retain set\N{NO-BREAK SPACE}↑", "highest")


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the suite with ROUGE-L (F1 of continuations, recall of answers), Min-K losses and extraction strength."""

    def rouge_l(name: str, generation: str, answer: str) -> Sequence[float]:
        from palimpsest.metrics.rouge import rouge_l_f, rouge_recalls

        return [rouge_l_f(generation, answer) if name.startswith("recited_") else rouge_recalls(generation, answer).rouge_l]

    return with_min_k(with_memorisation(with_rouge(table, ["rouge_l"], rouge_l), "hits"), "losses", MIN_K)


def read_sets(table: pd.DataFrame, source: object) -> Sets:
    """Return the items of one model; raises UserError that begins with `source` if a column of the suite is missing."""
    return split_sets(completed(table), COLUMNS, source)


def said(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with generated text, with the prompt as the question."""
    spoken = table[table["generation"].notna()].rename(columns={"prompt": "question"})
    # A chunk and a question may have the same id.
    return spoken.assign(id=spoken["set"] + "/" + spoken["id"])


def auc(sets: Sets) -> float | None:
    """Return the AUC of separating forget from holdout; None without holdout."""
    return float(membership_auc(*_losses(sets))) if HOLDOUT in sets else None


def _losses(sets: Sets) -> tuple[Array, Array]:
    forget, holdout = (sets[name]["min_k_loss"].to_numpy(dtype=np.float64) for name in (FORGET, HOLDOUT))
    return forget, holdout


def _column(name: str) -> Callable[[pd.DataFrame], Array]:
    return lambda rows: rows[name].to_numpy(dtype=np.float64)


def _probabilities(rows: pd.DataFrame) -> Array:
    return np.exp(-token_losses(rows))


def _average(
    name: str,
    of: str,
    values: Callable[[pd.DataFrame], Array],
    label: str,
    formula: str,
    source: str = "",
    attacked: str = "",
) -> Metric:
    """Return the mean of one value per item of a set; None if it has no items."""

    def compute(sets: Sets) -> float | None:
        return mean(values(sets[of]).tolist()) if of in sets else None

    def interval(sets: Sets) -> Interval:
        return bootstrap_interval(values(sets[of]).tolist())

    column = KEPT if of.endswith(RETAIN) else FORGOTTEN
    return Metric(
        name, compute, label, *column, attacked=attacked, interval=interval, formula=formula, bounds=SHARE, source=source
    )


RECALL = "mean ROUGE-L F1 of the greedy continuation of a chunk, against the true one"
PROBABILITY = "mean exp(-a)"
ANSWERS = "mean ROUGE-L recall of the greedy answer"
METRICS = (
    distance_from_retrain(FORGET),
    _average("recall_forget", "recited_forget", _column("rouge_l"), "Recall", RECALL, attacked="Recall, forget set"),
    _average("extraction_forget", FORGET, _column("extraction_strength"), "Extr. strength", EXTRACTION, EXTRACTION_SOURCE),
    _average("probability_forget", FORGET, _probabilities, "Probability", PROBABILITY, attacked="Probability, forget set"),
    _average("answers_forget", "asked_forget", _column("rouge_l"), "Answers", ANSWERS),
    Metric(
        "auc_holdout",
        auc,
        "AUC, holdout",
        *FORGOTTEN,
        interval=lambda sets: auc_interval(*_losses(sets)),
        formula="probability that a forget item has a higher Min-K loss than a held-out item",
        bounds=SHARE,
        source="MUSE, Sec. 3.1; Min-K: arXiv 2310.16789",
    ),
    _average("recall_retain", "recited_retain", _column("rouge_l"), "Recall", RECALL),
    _average("probability_retain", RETAIN, _probabilities, "Probability", PROBABILITY),
    _average("answers_retain", "asked_retain", _column("rouge_l"), "Answers", ANSWERS),
)
SCORING = Scoring[Sets](
    read=read_sets,
    metrics=METRICS,
    complete=completed,
    symbols="`a` is the loss per token of a chunk or an answer: its NLL in nats over its number of tokens. The Min-K loss is"
    " the mean of the highest losses of its tokens.",
    check=check_same_items(FORGET),
    examples={
        "recited_forget": (3, "forget"),
        "asked_forget": (3, "forget"),
        "recited_retain": (2, "retain"),
        "asked_retain": (2, "retain"),
    },
    said=said,
    said_numbers={"rouge_l": "ROUGE-L"},
)
