"""The scores of the MUSE suite (arXiv 2407.06460, Sec. 3.1), composed from the metrics beside this module."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from palimpsest.metrics.intervals import bootstrap_interval
from palimpsest.metrics.privacy import auc_interval, membership_auc, priv_leak, priv_leak_interval
from palimpsest.metrics.spread import mean
from palimpsest.metrics.truth_ratio import Array

# The metric of each set that is read off ROUGE-L F, in percent.
ROUGE_METRICS = {"verbatim": "verbmem_f", "knowledge_forget": "knowmem_f", "knowledge_retain": "knowmem_r"}
LOSS_SETS = ("members", "nonmembers")


@dataclass(frozen=True)
class MuseItems:
    """What one model makes of the sets: ROUGE-L F of each of `ROUGE_METRICS`, Min-K losses in nats of the texts; all (items,)."""

    rouge: dict[str, Array]
    members: Array
    nonmembers: Array
    texts: tuple[tuple[str, ...], tuple[str, ...]]
    """The ids of members and of nonmembers, in the order of their losses."""
    unicode_words: Mapping[str, int] = field(default_factory=dict)
    """Of how many items of a set ROUGE compares other words than those of `rouge_score` (`metrics.rouge`)."""


def muse_scores(items: MuseItems, retrain: MuseItems | None, published_auc: float | None = None) -> dict[str, float]:
    """Return VerbMem and KnowMem in percent, the AUC, and PrivLeak in percent against Retrain, which has read the same texts.

    Without a Retrain there is no PrivLeak; where an AUC was published for a Retrain, PrivLeak is given against that one too.
    `*_unicode_items` counts the items of a set whose answers `rouge_score` cannot read, where there are any.
    """
    auc = float(membership_auc(items.members, items.nonmembers))
    scores = {metric: 100 * mean(items.rouge[name].tolist()) for name, metric in ROUGE_METRICS.items()}
    scores |= {f"{ROUGE_METRICS[name]}_unicode_items": float(count) for name, count in items.unicode_words.items() if count}
    scores["auc_min_k"] = auc
    if retrain is not None:
        scores["privleak"] = float(priv_leak(auc, membership_auc(retrain.members, retrain.nonmembers)))
    if published_auc is not None:
        scores["privleak_published"] = float(priv_leak(auc, published_auc))
    return scores


def muse_intervals(items: MuseItems, retrain: MuseItems | None, published_auc: float | None = None) -> dict[str, float]:
    """Return the bounds of each of `muse_scores`, called so with `_low` and `_high`, the items being drawn anew."""
    auc = auc_interval(items.members, items.nonmembers)
    bounds = {metric: 100 * np.array(bootstrap_interval(items.rouge[name].tolist())) for name, metric in ROUGE_METRICS.items()}
    bounds["auc_min_k"] = np.array(auc)
    if retrain is not None:
        leak = priv_leak_interval((items.members, retrain.members), (items.nonmembers, retrain.nonmembers))
        bounds["privleak"] = np.array(leak)
    if published_auc is not None:
        # What was published is a constant: the model's own AUC alone varies.
        bounds["privleak_published"] = priv_leak(auc, published_auc)
    return {
        f"{metric}_{end}": float(at) for metric, ends in bounds.items() for end, at in zip(("low", "high"), ends, strict=True)
    }
