"""The halves of a forget set."""

from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return a forget set's two halves in its order (SimNPO, App. C); an odd number gives the first half one more."""
    middle = (len(rows) + 1) // 2
    return list(rows[:middle]), list(rows[middle:])
