"""The table of a suite by set, and the losses of texts in it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from palimpsest.errors import UserError


def split_sets(table: pd.DataFrame, columns: Sequence[str], source: object) -> dict[str, pd.DataFrame]:
    """Return the items by set; raises UserError that begins with `source` if the table lacks a column."""
    if missing := next((column for column in columns if column not in table), None):
        raise UserError(f"{source}: no column {missing!r}")
    return {str(name): rows for name, rows in table.groupby("set")}


def text_losses(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return the mean loss per token of each text, shape (texts,), in nats, from `nll` and `tokens` of its chunks `{id}/{n}`."""
    sums = rows.groupby(rows["id"].str.rpartition("/")[0], sort=False)[["nll", "tokens"]].sum()
    return (sums["nll"] / sums["tokens"]).to_numpy(dtype=np.float64)
