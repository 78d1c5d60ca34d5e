"""The metrics of the TOFU suite.

A new metric is one function and one entry of `METRICS`; a metric of another package is an entry point `tofu.NAME` in the group
`palimpsest.metrics`.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from palimpsest.benchmarks.tofu import HOLDOUT
from palimpsest.benchmarks.tofu.items import (
    UTILITY_SETS,
    Items,
    Sets,
    check_forget_sets,
    completed,
    question_mismatch,
    sets_from_table,
)
from palimpsest.benchmarks.tofu.metrics import (
    ForgetQuality,
    answer_probability,
    choice_probability,
    forget_quality,
    forget_truth_ratio,
    model_utility,
    truth_ratio,
    truth_ratio_distance,
    utility_truth_ratio,
)
from palimpsest.evaluation.items import UNICODE_ITEMS
from palimpsest.evaluation.metric import COUNT, SHARE, Against, Best, Metric, Scoring, score
from palimpsest.metrics.fluency import n_gram_entropy
from palimpsest.metrics.memorisation import EXTRACTION, EXTRACTION_SOURCE
from palimpsest.metrics.parts import PARTS, forget_parts
from palimpsest.metrics.privacy import membership_auc, min_k_loss, priv_leak, zlib_loss
from palimpsest.metrics.spread import Array, mean_share
from palimpsest.metrics.summary import aggregate_score, memorisation_score, privacy_score, utility_score

FORGET, RETAIN = ("forget", "retain")
# As in open-unlearning.
MIN_K = 0.4


def probability_of(name: str, sets: Sets) -> float | None:
    """Return the probability of the right answers of a set, normalised over the options for real authors and world facts."""
    if not (items := sets.get(name)):
        return None
    return answer_probability(items.answer) if name in (FORGET, RETAIN) else choice_probability(items.answer, items.perturbed)


def rouge_of(name: str, sets: Sets) -> float | None:
    """Return the mean ROUGE-L recall of a set; None if nothing was generated."""
    items = sets.get(name)
    return None if items is None or items.rouge is None else mean_share(items.rouge)


def unicode_items_of(name: str, sets: Sets) -> float | None:
    """Return the number of items of a set whose answers `rouge_score` cannot read; None if it reads all."""
    return float(sets[name].unicode_words) or None if name in sets else None


def truth_ratio_of(name: str, sets: Sets) -> float | None:
    """Return the truth ratio of a set, in the form for the forget set or for model utility."""
    form = forget_truth_ratio if name == FORGET else utility_truth_ratio
    return form(sets[name].log_truth_ratio) if name in sets else None


def utility(sets: Sets) -> float | None:
    """Return model utility; None if one of its nine parts is missing."""
    parts = [compute(name, sets) for name in UTILITY_SETS for compute in (probability_of, rouge_of, truth_ratio_of)]
    return None if None in parts else model_utility([part for part in parts if part is not None])


def compare_forget_sets(unlearned: Items, retrain: Items) -> ForgetQuality:
    """Return forget quality and its statistic; the caller has checked that both sets have the same questions."""
    return forget_quality(unlearned.log_truth_ratio, retrain.log_truth_ratio)


def quality(sets: Sets, retrain: Sets) -> ForgetQuality:
    """Return the forget quality of a model and its statistic."""
    return compare_forget_sets(sets[FORGET], retrain[FORGET])


def distance(sets: Sets, retrain: Sets) -> float | None:
    """Return the mean distance of the log truth ratios from Retrain's, question by question; None if questions are not unique."""
    own, other = (
        {} if items.questions is None else dict(zip(items.questions, items.log_truth_ratio, strict=True))
        for items in (sets[FORGET], retrain[FORGET])
    )
    if not len(own) == len(other) == len(sets[FORGET]):
        return None
    return truth_ratio_distance(np.array(list(own.values())), np.array([other[question] for question in own]))


def quality_floor(retrain: Sets, others: Sequence[Sets]) -> float:
    """Return the mean forget quality of Retrain against Retrains with other seeds: the best value to expect of a method."""
    return float(np.mean([quality(retrain, other).p_value for other in others]))


def memorisation(column: str, sets: Sets) -> float | None:
    """Return the mean of a column of the suite's table over the forget set; None if the items lack it."""
    rows = _forget_rows(sets)
    return float(rows[column].mean(skipna=False)) if column in rows else None


def paraphrased_probability(sets: Sets) -> float | None:
    """Return the probability of the paraphrased right answers of the forget set."""
    return answer_probability(sets[FORGET].base) if FORGET in sets else None


def paraphrased_rouge(sets: Sets) -> float | None:
    """Return the mean ROUGE-L recall of the paraphrased right answers by the generated ones; None if the items lack them."""
    from palimpsest.metrics.rouge import rouge_recalls

    pairs = _texts(_forget_rows(sets), "generation", "paraphrased_answer")
    return mean_share(np.array([rouge_recalls(*pair).rouge_l for pair in pairs])) if pairs else None


def fluency(sets: Sets) -> float | None:
    """Return the mean n-gram entropy of the answers that a model generates to the forget questions, in bits."""
    return None if _forget_rows(sets).empty else sets[FORGET].once(_fluency)


def _fluency(rows: pd.DataFrame) -> float | None:
    from palimpsest.metrics.rouge import UnicodeWords

    texts, words = _texts(rows, "generation"), UnicodeWords()
    return float(np.mean([n_gram_entropy(words.tokenize(text)) for (text,) in texts])) if texts else None


def _texts(rows: pd.DataFrame, *columns: str) -> list[tuple[str, ...]]:
    """Return texts of each item; none if an item lacks one."""
    if not set(columns) <= set(rows) or rows[list(columns)].isna().any(axis=None):
        return []
    return list(rows[list(columns)].itertuples(index=False, name=None))


def separating(statistic: Callable[[pd.DataFrame], Array], sets: Sets) -> float | None:
    """Return the AUC of separating forget from holdout items by a statistic; None without holdout or without losses of tokens."""
    members, others = sets.get(FORGET), sets.get(HOLDOUT)
    if not members or not others or others.rows is None or "answer_standard_losses" not in _forget_rows(sets):
        return None
    return float(membership_auc(members.once(statistic), others.once(statistic)))


def _token_losses(column: str, rows: pd.DataFrame) -> Array:
    return np.array([min_k_loss(losses, MIN_K) for losses in rows[column]])


# For each membership attack, a number of each item that is lower for members.
ATTACKS: dict[str, Callable[[pd.DataFrame], Array]] = {
    "loss": lambda rows: (rows["answer_nll"] / rows["answer_tokens"]).to_numpy(dtype=np.float64),
    "zlib": lambda rows: np.array(
        [
            zlib_loss(nll / tokens, answer)
            for nll, tokens, answer in zip(rows["answer_nll"], rows["answer_tokens"], rows["answer"], strict=True)
        ]
    ),
    "min_k": partial(_token_losses, "answer_losses"),
    "min_k_plus_plus": partial(_token_losses, "answer_standard_losses"),
}


def reference_auc(sets: Sets, retrain: Sets) -> float | None:
    """Return the AUC of separating by how much higher the loss per token is than Retrain's; None if the items differ."""

    def above(name: str) -> Array:
        own, other = (of[name].rows.set_index("id") for of in (sets, retrain))  # type: ignore[union-attr]
        return ATTACKS["loss"](own) - ATTACKS["loss"](other.reindex(own.index))

    if separating(ATTACKS["loss"], sets) is None or separating(ATTACKS["loss"], retrain) is None:
        return None
    return float(membership_auc(above(FORGET), above(HOLDOUT)))


def leak(sets: Sets, retrain: Sets) -> float | None:
    """Return PrivLeak in percent; None without holdout."""
    own, other = (separating(ATTACKS["min_k"], of) for of in (sets, retrain))
    return None if own is None or other is None else float(priv_leak(own, other))


def memorisation_summary(sets: Sets) -> float | None:
    """Return the summary of memorisation; None for items without the tokens of their answers."""
    extraction, exact = (memorisation(column, sets) for column in ("extraction_strength", "exact_memorisation"))
    if extraction is None or exact is None:
        return None
    # x / (1 + x) for the truth ratio x.
    truth = mean_share(expit(sets[FORGET].log_truth_ratio))
    return memorisation_score(extraction, exact, answer_probability(sets[FORGET].base), truth)


def privacy_summary(sets: Sets, retrain: Sets) -> float | None:
    """Return the summary of privacy; None without holdout."""
    own, other = (
        {name: auc for name, statistic in ATTACKS.items() if (auc := separating(statistic, of)) is not None}
        for of in (sets, retrain)
    )
    return privacy_score(own, other) if own and own.keys() == other.keys() else None


def utility_summary(sets: Sets, original: Sets) -> float | None:
    """Return the summary of utility; None if a part of model utility or the generated texts are missing."""
    parts = [compute(of) for of in (sets, original) for compute in (utility, fluency)]
    return None if None in parts else utility_score(*[part for part in parts if part is not None])


def aggregate(sets: Sets, original: Sets, retrain: Sets) -> float | None:
    """Return the harmonic mean of the three summaries; None if one is missing."""
    parts = [memorisation_summary(sets), privacy_summary(sets, retrain), utility_summary(sets, original)]
    return None if None in parts else aggregate_score(*[part for part in parts if part is not None])


def by_part(compute: Callable[[Items], float], sets: Sets) -> dict[str, float]:
    """Return one number for each part of the forget set."""
    return {name: compute(sets[FORGET].part(ids)) for name, ids in forget_parts(_forget_rows(sets)).items()}


def quality_by_part(sets: Sets, retrain: Sets) -> dict[str, float]:
    """Return the forget quality of each part of the forget set, against the same items of Retrain; NaN if Retrain lacks some."""
    parts = {} if retrain[FORGET].rows is None else forget_parts(_forget_rows(sets))
    pairs = {name: (sets[FORGET].part(ids), retrain[FORGET].part(ids)) for name, ids in parts.items()}
    return {name: math.nan if question_mismatch(*pair) else compare_forget_sets(*pair).p_value for name, pair in pairs.items()}


def _forget_rows(sets: Sets) -> pd.DataFrame:
    """Return the rows of the forget set; a table without columns for an imported log."""
    rows = sets[FORGET].rows if FORGET in sets else None
    return pd.DataFrame() if rows is None else rows


PROBABILITY, CHOICE = "mean exp(-a)", "mean exp(-a) / (exp(-a) + sum over k of exp(-w_k))"
FORGET_RATIO, UTILITY_RATIO = "mean min(x, 1/x)", "mean max(0, 1 - 1/x)"
ROUGE = "mean ROUGE-L recall of the greedy answer, with stemming"
PROBABILITY_SOURCE, RATIO_SOURCE, QUALITY_SOURCE = "TOFU, Sec. 2.2.1", "TOFU, Sec. 2.2.2", "TOFU, Sec. 2.2.3"


def _of_set(name: str, group: str, best: Best, attacked: str = "") -> tuple[Metric, ...]:
    column: dict[str, Any] = {"group": group, "best": best, "bounds": SHARE}
    probability = PROBABILITY if name in (FORGET, RETAIN) else CHOICE
    ratio = FORGET_RATIO if name == FORGET else UTILITY_RATIO
    return (
        Metric(
            f"{name}_probability",
            partial(probability_of, name),
            "Prob.",
            attacked=attacked,
            formula=probability,
            source=PROBABILITY_SOURCE,
            **column,
        ),
        Metric(f"{name}_rouge", partial(rouge_of, name), "ROUGE-L", formula=ROUGE, source=PROBABILITY_SOURCE, **column),
        Metric(f"{name}_truth_ratio", partial(truth_ratio_of, name), "Truth ratio", formula=ratio, source=RATIO_SOURCE, **column),
        Metric(f"{name}_rouge_unicode_items", partial(unicode_items_of, name), formula=UNICODE_ITEMS, bounds=COUNT),
    )


NEAREST = "Forget set (nearest Retrain)"
HELD_OUT, LEAK = "Forget set against holdout", "PrivLeak\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}0"
FRAMEWORK, SUMMARY = "arXiv 2506.12618, App. F", "OpenUnlearning ↑"
SEPARATES = "probability that a forget item has a higher"
BY_ATTACK = {
    "loss": ("loss per token than a held-out item", "arXiv 1709.01604"),
    "zlib": ("loss per token and byte of its compressed answer", "arXiv 2012.07805, Sec. 5.2"),
    "min_k": ("Min-K loss (k = 40 %)", "arXiv 2310.16789"),
    "min_k_plus_plus": ("Min-K++ loss (k = 40 %)", "arXiv 2404.02936"),
}


def _membership() -> tuple[Metric, ...]:
    """Return the AUC of each membership attack on the forget set against the holdout set, and PrivLeak."""
    told: dict[str, Any] = {"group": HELD_OUT, "best": "nearest Retrain", "bounds": SHARE}
    return (
        *(
            Metric(
                f"forget_auc_{name}",
                partial(separating, ATTACKS[name]),
                "AUC" if name == "min_k" else "",
                formula=f"{SEPARATES} {what}",
                source=source,
                **told,
            )
            for name, (what, source) in BY_ATTACK.items()
        ),
        Metric(
            "forget_auc_reference",
            reference_auc,
            needs="retrain",
            formula=f"{SEPARATES} loss per token above Retrain's",
            source="arXiv 2012.07805, Sec. 5.2",
            **told,
        ),
        Metric(
            "forget_privleak",
            leak,
            LEAK,
            HELD_OUT,
            "nearest 0",
            needs="retrain",
            formula="100 · (a - r) / r, with `forget_auc_min_k` of the model (a) and of Retrain (r)",
            bounds=(-100.0, math.inf),
            source="MUSE, Sec. 3.1",
        ),
    )


def _summary() -> tuple[Metric, ...]:
    """Return the scores of the forget set that only the summary of OpenUnlearning reads, and the summary."""
    return (
        Metric(
            "forget_paraphrased_probability",
            paraphrased_probability,
            "Para. prob.",
            NEAREST,
            "nearest Retrain",
            formula="mean exp(-b)",
            bounds=SHARE,
            source=FRAMEWORK,
        ),
        Metric(
            "forget_paraphrased_rouge",
            paraphrased_rouge,
            "Para. ROUGE-L",
            NEAREST,
            "nearest Retrain",
            formula="mean ROUGE-L recall of the paraphrased answer by the greedy answer, with stemming",
            bounds=SHARE,
            source=FRAMEWORK,
        ),
        Metric(
            "forget_fluency",
            fluency,
            "Fluency",
            NEAREST,
            "nearest Retrain",
            formula="mean over greedy answers of (2/3 · H_2 + 4/3 · H_3) / 2, with H_n the entropy in bits of their sequences of"
            " n words",
            bounds=COUNT,
            source="arXiv 2202.05262, App. B; arXiv 2406.10890",
        ),
        Metric(
            "memorisation_score",
            memorisation_summary,
            "Mem.",
            SUMMARY,
            "highest",
            formula="harmonic mean of 1 - `forget_extraction_strength`, 1 - `forget_exact_memorisation`,"
            " 1 - `forget_paraphrased_probability` and 1 - mean x / (1 + x)",
            bounds=SHARE,
            source=FRAMEWORK,
        ),
        Metric(
            "privacy_score",
            privacy_summary,
            "Priv.",
            SUMMARY,
            "highest",
            needs="retrain",
            formula="harmonic mean, over the AUCs of loss, zlib, Min-K and Min-K++, of"
            " max(0, 1 - distance from Retrain's AUC / Retrain's AUC)",
            bounds=SHARE,
            source=FRAMEWORK,
        ),
        Metric(
            "utility_score",
            utility_summary,
            "Utility",
            SUMMARY,
            "highest",
            needs="original",
            formula="harmonic mean of `model_utility` and `forget_fluency`, the latter as a share of Original's and at most 1;"
            " divided by Original's mean",
            bounds=COUNT,
            source=FRAMEWORK,
        ),
        Metric(
            "aggregate_score",
            aggregate,
            "Agg.",
            SUMMARY,
            "highest",
            needs=("original", "retrain"),
            formula="harmonic mean of `memorisation_score`, `privacy_score` and `utility_score`",
            bounds=COUNT,
            source=FRAMEWORK,
        ),
    )


def _of_parts(name: str, value: Callable[[Items], float]) -> Metric:
    """Return a metric of the forget set, part by part."""
    return Metric(
        f"{name}_",
        partial(by_part, value),
        best="nearest Retrain",
        suffixes=PARTS,
        formula=f"`{name}` of one part of the forget set",
        bounds=SHARE,
        source="SimNPO, App. C",
    )


METRICS = (
    Metric(
        "forget_quality",
        lambda sets, retrain: quality(sets, retrain).p_value,
        "Forget quality\N{NO-BREAK SPACE}↑",
        best="highest",
        needs="retrain",
        attacked="Forget quality",
        formula="p-value of the two-sided Kolmogorov-Smirnov test of x on the forget set, against Retrain's",
        bounds=SHARE,
        source=QUALITY_SOURCE,
    ),
    Metric(
        "ks_statistic",
        lambda sets, retrain: quality(sets, retrain).statistic,
        best="nearest 0",
        needs="retrain",
        formula="greatest distance D of the two distributions of x, whose p-value is `forget_quality`",
        bounds=SHARE,
        source=QUALITY_SOURCE,
    ),
    Metric(
        "truth_ratio_distance",
        distance,
        "Dist. per question\N{NO-BREAK SPACE}↓",
        best="nearest 0",
        needs="retrain",
        formula="mean distance of log x from Retrain's log x, question by question, in nats",
        bounds=COUNT,
    ),
    Metric(
        "forget_extraction_strength",
        partial(memorisation, "extraction_strength"),
        "Extr. strength",
        best="nearest Retrain",
        formula=EXTRACTION,
        bounds=SHARE,
        source=EXTRACTION_SOURCE,
    ),
    Metric(
        "forget_quality_floor",
        quality_floor,
        needs="other_retrains",
        formula="mean `forget_quality` of Retrain against the Retrains of other seeds: the best value to expect of a method",
        bounds=SHARE,
    ),
    Metric(
        "model_utility",
        utility,
        "Model utility\N{NO-BREAK SPACE}↑",
        best="highest",
        formula="harmonic mean of the probability, the ROUGE and the truth ratio of the retain set, real authors and world facts",
        bounds=SHARE,
        source=PROBABILITY_SOURCE,
    ),
    *_of_set(FORGET, NEAREST, "nearest Retrain", "Forget probability"),
    # Without a column, as it goes along with extraction strength.
    Metric(
        "forget_exact_memorisation",
        partial(memorisation, "exact_memorisation"),
        best="nearest Retrain",
        formula="mean share of the answer's tokens that are the likeliest after the true tokens before them",
        bounds=SHARE,
        source="arXiv 2205.10770",
    ),
    *_of_set(RETAIN, "Retain set ↑", "highest"),
    *_of_set("real_authors", "Real authors ↑", "highest"),
    *_of_set("world_facts", "World facts ↑", "highest"),
    Metric(
        "forget_quality_",
        quality_by_part,
        best="highest",
        needs="retrain",
        suffixes=PARTS,
        formula="`forget_quality` of one part of the forget set",
        bounds=SHARE,
        source="SimNPO, Fig. 2 and App. C",
    ),
    *_membership(),
    *_summary(),
    _of_parts("forget_probability", lambda items: answer_probability(items.answer)),
    _of_parts("forget_truth_ratio", lambda items: forget_truth_ratio(items.log_truth_ratio)),
)


def tofu_scores(sets: Sets, retrain: Sets | None = None, original: Sets | None = None) -> dict[str, float]:
    """Return all scores of one model; without Retrain or Original, only the scores that do not need them."""
    return dict(score(METRICS, sets, Against(retrain, original=original)))


def truth_ratios(sets: Sets) -> pd.DataFrame:
    """Return the truth ratio of every item, with set, id, half and number of answer tokens."""
    return pd.concat(
        items.rows[["set", "id", "half", "answer_tokens"]].assign(truth_ratio=truth_ratio(items.log_truth_ratio))
        for name, items in sets.items()
        if items.rows is not None and name != HOLDOUT
    )


def said(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a suite's table with the probability of the right answer and the truth ratio (log10) of each item."""
    return pd.concat(
        items.rows.assign(probability=np.exp(-items.answer), truth_ratio_log10=items.log_truth_ratio / math.log(10))
        for name, items in sets_from_table(table, "the items").items()
        if items.rows is not None and name != HOLDOUT
    )


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Return the forget set's rows of a suite's table, with the tokens and the NLL of the answers."""
    return table[table["set"] == FORGET].rename(columns={"answer_tokens": "tokens", "answer_nll": "nll"})


SCORING = Scoring[Sets](
    read=sets_from_table,
    metrics=METRICS,
    complete=completed,
    symbols="`a` is the loss per token of the right answer: the NLL in nats divided by the number of tokens. `w_k` is the loss"
    " per token of wrong answer k. `b` is the loss per token of the paraphrased answer; for real authors and world facts, `b` is"
    " `a`. The truth ratio is `x = exp(mean over k of w_k - b)`.",
    check=check_forget_sets,
    examples={FORGET: (4, "forget"), RETAIN: (4, "retain")},
    said=said,
    said_numbers={
        "probability": "Probability",
        "rouge_l_recall": "ROUGE-L",
        "truth_ratio_log10": "Truth ratio (log10)",
        "extraction_strength": "Extraction strength",
    },
    truth_ratios=truth_ratios,
    losses=losses,
)
