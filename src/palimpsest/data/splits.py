"""The halves of a forget set."""

from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the two halves of a forget set in order (SimNPO, App. C); with an odd number, the first half is larger."""
    middle = (len(rows) + 1) // 2
    return list(rows[:middle]), list(rows[middle:])
