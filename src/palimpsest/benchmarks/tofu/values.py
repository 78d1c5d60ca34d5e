"""Ranges of the numbers in a log: losses are at least 0, fractions between 0 and 1, token counts at least 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palimpsest.errors import UserError

Numbers = NDArray[np.float64]
Names = Sequence[Any] | NDArray[np.object_]


def check_losses(losses: Numbers, place: str, items: Names) -> None:
    """Raise UserError for a loss below 0, i.e. a probability above 1; NaN and infinity are allowed, as for a collapsed model.

    `losses` has shape (items,) or (items, wrong answers); `items` are their names, and `place` is their place in the log.
    """
    looks = "these look like log-probabilities: turn their sign" if (losses[np.isfinite(losses)] <= 0).all() else ""
    _refuse(losses < 0, losses, place, items, "a loss is 0 or more", looks)


def check_shares(shares: Numbers, place: str, items: Names) -> None:
    """Raise UserError for a fraction outside [0, 1]; NaN is allowed. Arguments as for losses."""
    known = shares[~np.isnan(shares)]
    per_cent = known.size and known.min() >= 0 and np.median(known) > 2 and known.max() <= 100
    looks = "these look like per cent: divide them by 100" if per_cent else ""
    _refuse((shares < 0) | (shares > 1), shares, place, items, "it must be between 0 and 1", looks)


def check_counts(counts: Numbers, place: str, items: Names) -> None:
    """Raise UserError for an invalid number of tokens. Arguments as for losses."""
    _refuse(~((counts >= 1) & (counts % 1 == 0) & np.isfinite(counts)), counts, place, items, "a number of tokens is 1 or more")


def _refuse(wrong: NDArray[np.bool_], values: Numbers, place: str, items: Names, allowed: str, looks: str = "") -> None:
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0])
        raise UserError(f"{place}: item {items[first[0]]}: {values[first]:g}: {allowed}{looks and f' ({looks})'}")
