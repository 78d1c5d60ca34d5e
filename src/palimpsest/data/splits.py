"""Parts of a set: its halves, and a few of its rows."""

from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the two halves of a forget set in order (SimNPO, App. C); with an odd number, the first half is larger."""
    middle = (len(rows) + 1) // 2
    return list(rows[:middle]), list(rows[middle:])


def spread(rows: Sequence[Row], most: int | None) -> list[Row]:
    """Return at most so many rows, evenly spaced in their order; None means all of them."""
    count = len(rows) if most is None else min(most, len(rows))
    return [rows[place * len(rows) // count] for place in range(count)]
