"""The numbers that a log may hold: a loss is 0 or more, a share from 0 to 1, a count of tokens 1 or more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palimpsest.errors import UserError

Numbers = NDArray[np.float64]
Names = Sequence[Any] | NDArray[np.object_]


def check_losses(losses: Numbers, place: str, items: Names) -> None:
    """Raise UserError for a loss below 0, that is a probability above 1; NaN and infinity are what a collapsed model gives.

    `losses` are (items,) or (items, wrong answers), `items` their names, and `place` says where they stand.
    """
    looks = "these look like log-probabilities: turn their sign" if (losses[np.isfinite(losses)] <= 0).all() else ""
    _refuse(losses < 0, losses, place, items, "a loss is 0 or more", looks)


def check_shares(shares: Numbers, place: str, items: Names) -> None:
    """Raise UserError for a share outside [0, 1]; NaN is none. Arguments as above."""
    known = shares[~np.isnan(shares)]
    per_cent = known.size and known.min() >= 0 and np.median(known) > 2 and known.max() <= 100
    looks = "these look like per cent: divide them by 100" if per_cent else ""
    _refuse((shares < 0) | (shares > 1), shares, place, items, "it lies between 0 and 1", looks)


def check_counts(counts: Numbers, place: str, items: Names) -> None:
    """Raise UserError for a number of tokens that is none. Arguments as above."""
    _refuse(~((counts >= 1) & (counts % 1 == 0) & np.isfinite(counts)), counts, place, items, "a number of tokens is 1 or more")


def _refuse(wrong: NDArray[np.bool_], values: Numbers, place: str, items: Names, allowed: str, looks: str = "") -> None:
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        raise UserError(f"{place}: item {items[first[0]]}: {values[first]:g}: {allowed}{looks and f' ({looks})'}")
