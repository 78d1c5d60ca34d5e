"""The parts of the forget set that are scored apart: its halves in its order, and its shorter and longer answers."""

import pandas as pd

from palimpsest.data.splits import halves


def forget_parts(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Return the ids in each part that has any, from a forget set's `id`, `half` and `answer_tokens`; no part without these.

    Of an odd number, the first half and the shorter half have one more; of two answers of one length the smaller id is shorter.
    """
    if not {"id", "half", "answer_tokens"} <= set(rows):
        return {}
    shortest, longest = halves(rows.sort_values(["answer_tokens", "id"])["id"].tolist())
    parts = {
        "first_half": rows.loc[rows["half"] == 1, "id"].tolist(),
        "second_half": rows.loc[rows["half"] == 2, "id"].tolist(),
        "shortest": shortest,
        "longest": longest,
    }
    return {name: ids for name, ids in parts.items() if ids}
