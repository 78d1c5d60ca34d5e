"""Privacy leakage of losses: Min-K%, the AUC of separating members from non-members, and PrivLeak."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy

from palimpsest.metrics.intervals import Interval, resampled_interval
from palimpsest.metrics.spread import Array


def min_k_loss(losses: Sequence[float], share: float) -> float:
    """Return the mean of the highest losses of a text, shape (tokens,), in nats: this fraction of the tokens, at least one.

    This is the negated Min-K% Prob (Shi et al., 2310.16789); of standard losses (`models.scoring`), the negated Min-K%++. NaN
    without tokens or if a loss is NaN; infinite if a loss is.
    """
    highest = np.sort(np.asarray(losses, dtype=np.float64))[-max(1, int(len(losses) * share)) :]
    return float(highest.mean()) if highest.size else float("nan")


def zlib_loss(loss: float, text: str) -> float:
    """Return the loss of a text per byte of the text compressed with zlib (Carlini et al., 2012.07805, Sec. 5.2)."""
    return loss / len(zlib.compress(text.encode()))


def membership_auc(members: Array, nonmembers: Array, axis: int = -1) -> Any:
    """Return the probability that a member's loss exceeds a non-member's (ties count half), from losses along `axis`.

    Near 0 if the model remembers the members, 0.5 if they cannot be separated (MUSE, arXiv 2407.06460, Sec. 3.1). An infinite
    loss exceeds all others. NaN if a loss is NaN or a set is empty.
    """
    count, others = members.shape[axis], nonmembers.shape[axis]
    if not count or not others:
        return np.nan
    ranks = scipy.stats.rankdata(np.concatenate([members, nonmembers], axis=axis), axis=axis)
    of_members = np.take(ranks, range(count), axis=axis).sum(axis=axis)
    return (of_members - count * (count + 1) / 2) / (count * others)


def priv_leak(auc: Any, retrain_auc: Any) -> Any:
    """Return (AUC - AUC of Retrain) / AUC of Retrain in percent: negative if under-forgotten, positive if over-forgotten.

    0 if both are equal, and infinite if only Retrain's is 0 (MUSE, Sec. 3.1).
    """
    auc, retrain_auc = np.asarray(auc, dtype=np.float64), np.asarray(retrain_auc, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(auc == retrain_auc, 0.0, 100 * (auc / retrain_auc - 1))


def auc_interval(members: Array, nonmembers: Array) -> Interval:
    """Return the interval of the AUC, with members and non-members, each (texts,), resampled separately; NaN for one text."""
    return resampled_interval((members, nonmembers), membership_auc)


def priv_leak_interval(members: tuple[Array, Array], nonmembers: tuple[Array, Array]) -> Interval:
    """Return the interval of PrivLeak from losses, shape (texts,), of the unlearned model and of Retrain on the same texts.

    Texts are resampled together with both models' losses.
    """

    def leak(member: Any, nonmember: Any, axis: int) -> Any:
        auc, retrain_auc = (
            membership_auc(known[member], other[nonmember], axis) for known, other in zip(members, nonmembers, strict=True)
        )
        return priv_leak(auc, retrain_auc)

    return resampled_interval((np.arange(len(members[0])), np.arange(len(nonmembers[0]))), leak)
