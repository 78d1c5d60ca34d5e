"""The parts of the forget set that are scored separately: its halves in order, and its shorter and longer answers."""

import pandas as pd

from palimpsest.data.splits import halves

PARTS = ("first_half", "second_half", "shortest", "longest")


def forget_parts(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the ids in each non-empty part, from a forget set's `id`, `half` and `answer_tokens`; no parts without these
    columns.

    With an odd number, the first half and the shorter half are larger. Of equally long answers, the smaller id counts as shorter.
    """
    if not {"id", "half", "answer_tokens"} <= set(rows):
        return {}
    shortest, longest = halves(rows.sort_values(["answer_tokens", "id"])["id"].tolist())
    first, second = (rows.loc[rows["half"] == half, "id"].tolist() for half in (1, 2))
    return {name: ids for name, ids in zip(PARTS, (first, second, shortest, longest), strict=True) if ids}
