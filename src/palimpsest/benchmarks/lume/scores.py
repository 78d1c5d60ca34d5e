"""The metrics of LUME's suite (LUME, arXiv 2502.15097, Sec. 4, and the evaluation script of SemEval-2025, task 4)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.benchmarks.lume.dataset import FORMS, SETS, TASKS, place_of
from palimpsest.evaluation.distance import Sets, check_same_items, distance_from_retrain
from palimpsest.evaluation.items import derived
from palimpsest.evaluation.metric import SHARE, Best, Metric, Scoring
from palimpsest.evaluation.sets import split_sets, text_losses
from palimpsest.metrics.intervals import Interval, bootstrap_interval, resampled_interval
from palimpsest.metrics.privacy import auc_interval, membership_auc
from palimpsest.metrics.spread import Array, mean

COLUMNS = ("set", "id", "answer", "generation", "tokens", "nll")
LOSSES, MEMBERS, NONMEMBERS = "losses_forget", "members", "nonmembers"
SOURCE = "LUME, arXiv 2502.15097, Sec. 4; SemEval-2025, task 4"
SENTENCES, QUESTIONS = FORMS
NAMES = {SENTENCES: "regurgitation", QUESTIONS: "knowledge"}
FORMULAS = {
    SENTENCES: "mean ROUGE-L recall, with stemming, of the greedy continuation of a text against the true one",
    QUESTIONS: "share of greedy answers that equal the true answer, but for case and blanks around it",
}


def completed(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the suite with the score of each generated text: ROUGE-L recall of texts, 1 or 0 for answers."""

    def score(id: str, generation: str, answer: str) -> list[float]:
        from palimpsest.metrics.rouge import rouge_recalls

        if place_of(id).form == SENTENCES:
            return [rouge_recalls(generation, answer).rouge_l]
        return [float(generation.strip().lower() == answer.strip().lower())]

    return derived(table, ["id", "generation", "answer"], ["score"], score)


def read_sets(table: pd.DataFrame, source: object) -> Sets:
    """Return the items of one model; raises UserError that begins with `source` if a column of the suite is missing."""
    return split_sets(completed(table), COLUMNS, source)


def said(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with generated text, with their score."""
    spoken = completed(table[table["generation"].notna()]).rename(columns={"prompt": "question"})
    return spoken.assign(id=spoken["set"] + "/" + spoken["id"])


def values(sets: Sets, name: str, form: str, task: str | None = None) -> Array:
    """Return the score of each item of a form in a set, shape (items,)."""
    rows = sets.get(name)
    if rows is None:
        return np.array([])
    places = [place_of(id) for id in rows["id"]]
    kept = [place.form == form and task in (None, place.task) for place in places]
    return rows.loc[kept, "score"].to_numpy(dtype=np.float64)


def task_aggregate(sets: Sets) -> float:
    """Return the harmonic mean over sets, tasks and forms of the mean score, subtracted from 1 on the forget set."""
    return float(_aggregate(*_groups(sets).values(), axis=-1))


def _groups(sets: Sets) -> dict[tuple[str, str, str], Array]:
    """Return what each term of the aggregate averages, without the terms that have no items."""
    groups = {(name, task, form): values(sets, name, form, task) for name in SETS for task in TASKS for form in FORMS}
    return {key: 1 - of if key[0] == "forget" else of for key, of in groups.items() if of.size}


def _aggregate(*groups: Array, axis: int) -> Any:
    means = np.stack([group.mean(axis=axis) for group in groups])
    # A mean of 0 makes the harmonic mean 0.
    with np.errstate(divide="ignore"):
        return len(groups) / (1 / means).sum(axis=0)


def membership(sets: Sets) -> float | None:
    """Return the AUC of telling members from non-members by their loss: 1 if members have the lower ones; None without them."""
    return 1 - float(membership_auc(*_document_losses(sets))) if MEMBERS in sets else None


def membership_score(sets: Sets) -> float | None:
    """Return 1 - 2 |AUC - 0.5|, which is 1 if members cannot be told from non-members; None without them."""
    auc = membership(sets)
    return None if auc is None else 1 - 2 * abs(auc - 0.5)


def _membership_interval(sets: Sets) -> Interval:
    low, high = auc_interval(*_document_losses(sets))
    return Interval(1 - high, 1 - low)


def _document_losses(sets: Sets) -> tuple[Array, Array]:
    members, nonmembers = (text_losses(sets[name]) for name in (MEMBERS, NONMEMBERS))
    return members, nonmembers


def _average(name: str, form: str, task: str | None = None) -> Metric:
    """Return the metric of a form in a set: of all tasks, with a column, or of one."""
    best: Best = "highest" if name == "retain" else "nearest Retrain"
    group = "Retain set\N{NO-BREAK SPACE}↑" if name == "retain" else "Forget set\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}Retrain"
    kind = NAMES[form]

    def compute(sets: Sets) -> float | None:
        found = values(sets, name, form, task)
        return mean(found.tolist()) if found.size else None

    def interval(sets: Sets) -> Interval:
        return bootstrap_interval(values(sets, name, form, task).tolist())

    where = f", of {task.capitalize()}" if task else ""
    shown = {} if task else {"label": kind.capitalize(), "group": group, "best": best}
    attacked = f"{kind.capitalize()}, forget set" if name == "forget" and task is None else ""
    return Metric(
        f"{kind}_{name}{f'_{task}' if task else ''}",
        compute,
        **shown,  # type: ignore[arg-type]
        attacked=attacked,
        interval=interval,
        formula=FORMULAS[form] + where,
        bounds=SHARE,
        source=SOURCE,
    )


def _each(make: Callable[..., Metric], *tasks: str | None) -> list[Metric]:
    return [make(name, form, task) for name in SETS for form in FORMS for task in tasks]


METRICS = (
    Metric(
        "task_aggregate",
        task_aggregate,
        "Tasks\N{NO-BREAK SPACE}↑",
        "LUME",
        "highest",
        interval=lambda sets: resampled_interval([*_groups(sets).values()], _aggregate),
        formula="harmonic mean of regurgitation and knowledge over sets and tasks, each subtracted from 1 on the forget set",
        bounds=SHARE,
        source=SOURCE,
    ),
    Metric(
        "membership_score",
        membership_score,
        "Membership\N{NO-BREAK SPACE}↑",
        "LUME",
        "highest",
        formula="1 - 2 |membership_auc - 0.5|",
        bounds=SHARE,
        source=SOURCE,
    ),
    distance_from_retrain(LOSSES),
    *_each(_average, None),
    *_each(_average, *TASKS),
    Metric(
        "membership_auc",
        membership,
        interval=_membership_interval,
        formula="probability that a document of the forget set has a lower loss per token than one that no model learnt",
        bounds=SHARE,
        source=SOURCE,
    ),
)
SCORING = Scoring[Sets](
    read=read_sets,
    metrics=METRICS,
    complete=completed,
    symbols="`a` is the loss per token of a forget item's output: its NLL in nats over its number of tokens. The final score of"
    " SemEval-2025, task 4, is the mean of `task_aggregate`, `membership_score` and the accuracy on MMLU, which an lm-eval suite"
    " measures.",
    check=check_same_items(LOSSES),
    examples={"forget": (4, "forget"), "retain": (2, "retain")},
    said=said,
    said_numbers={"score": "ROUGE-L or match"},
)
