"""The parts of the forget set that are looked at apart: its halves in its order, and those of short and of long answers."""

from collections.abc import Sequence
from itertools import compress

import pandas as pd

from palimpsest.data.splits import halves
from palimpsest.metrics.tofu import Items


def forget_parts(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the ids in each part that has any, from a forget set's `id`, `half` and `answer_tokens`.

    The shorter half of an odd number has one more, as the first half has; of two answers of one length the smaller id is shorter.
    """
    shortest, longest = halves(rows.sort_values(["answer_tokens", "id"])["id"].tolist())
    parts = {
        "first_half": rows.loc[rows["half"] == 1, "id"].tolist(),
        "second_half": rows.loc[rows["half"] == 2, "id"].tolist(),
        "shortest": shortest,
        "longest": longest,
    }
    return {name: ids for name, ids in parts.items() if ids}


def select_items(items: Items, kept: Sequence[bool]) -> Items:
    """Return those items of a set that are kept, `kept` (items,)."""
    return Items(
        answer=items.answer[kept],
        base=items.base[kept],
        perturbed=items.perturbed[kept],
        rouge=None if items.rouge is None else items.rouge[kept],
        questions=items.questions and tuple(compress(items.questions, kept)),
    )
