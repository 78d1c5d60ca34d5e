"""What losses give away of who was in the training data: Min-K%, the AUC of telling members from others, and PrivLeak."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from palimpsest.metrics.intervals import Interval, resampled_interval
from palimpsest.metrics.spread import Array


def min_k_loss(losses: Sequence[float], share: float) -> float:
    """Return the mean of the highest losses of a text's tokens (tokens,), in nats: this share of them, one at least.

    Min-K% Prob (Shi et al., 2310.16789) with its sign turned. NaN of no tokens and where one loss is NaN; infinite where one is.
    """
    highest = np.sort(np.asarray(losses, dtype=np.float64))[-max(1, int(len(losses) * share)) :]
    return float(highest.mean()) if highest.size else float("nan")


def membership_auc(members: Array, nonmembers: Array, axis: int = -1) -> Any:
    """Return the chance that a member's loss is above a nonmember's, ties counted half, of losses (..., texts) along `axis`.

    Near 0 where the model remembers its members, 0.5 where nothing tells them apart (MUSE, arXiv 2407.06460, Sec. 3.1).
    An infinite loss is above all others; NaN where a loss is NaN or a side empty.
    """
    count, others = members.shape[axis], nonmembers.shape[axis]
    if not count or not others:
        return np.nan
    ranks = rankdata(np.concatenate([members, nonmembers], axis=axis), axis=axis)
    of_members = np.take(ranks, range(count), axis=axis).sum(axis=axis)
    return (of_members - count * (count + 1) / 2) / (count * others)


def priv_leak(auc: Any, retrain_auc: Any) -> Any:
    """Return (AUC - AUC of Retrain) / AUC of Retrain in percent: below 0 too little is forgotten, above 0 too much.

    0 where both are alike, and so infinite where Retrain's alone is 0 (MUSE, Sec. 3.1).
    """
    auc, retrain_auc = np.asarray(auc, dtype=np.float64), np.asarray(retrain_auc, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(auc == retrain_auc, 0.0, 100 * (auc / retrain_auc - 1))


def auc_interval(members: Array, nonmembers: Array) -> Interval:
    """Return the interval of the AUC, members (texts,) and nonmembers (texts,) drawn apart; NaN as the AUC and for one text."""
    return resampled_interval((members, nonmembers), membership_auc)


def priv_leak_interval(members: tuple[Array, Array], nonmembers: tuple[Array, Array]) -> Interval:
    """Return the interval of PrivLeak from losses (texts,) of the unlearned model and of Retrain, pairs of the same texts.

    A text is drawn with the losses that both models give it.
    """

    def leak(member: Any, nonmember: Any, axis: int) -> Any:
        auc, retrain_auc = (
            membership_auc(known[member], other[nonmember], axis) for known, other in zip(members, nonmembers, strict=True)
        )
        return priv_leak(auc, retrain_auc)

    return resampled_interval((np.arange(len(members[0])), np.arange(len(nonmembers[0]))), leak)
