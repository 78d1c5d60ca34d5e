"""The table of a MUSE suite, as it lies on disk, as what its scores are read off."""

from pathlib import Path

import numpy as np
import pandas as pd

from palimpsest.errors import UserError
from palimpsest.evaluation.logs import count_unicode
from palimpsest.metrics.muse import LOSS_SETS, ROUGE_METRICS, MuseItems


def muse_items(frame: pd.DataFrame, source: Path) -> MuseItems:
    """Return the items of one model; raises UserError, `source` first, where the columns are not those of a MUSE suite."""
    try:
        sets = {name: frame[frame["set"] == name] for name in (*ROUGE_METRICS, *LOSS_SETS)}
        members, nonmembers = (sets[name] for name in LOSS_SETS)
        return MuseItems(
            rouge={name: sets[name]["rouge_l_f"].to_numpy(dtype=np.float64) for name in ROUGE_METRICS},
            members=members["min_k_loss"].to_numpy(dtype=np.float64),
            nonmembers=nonmembers["min_k_loss"].to_numpy(dtype=np.float64),
            texts=(tuple(members["id"]), tuple(nonmembers["id"])),
            unicode_words={name: count_unicode(sets[name]) for name in ROUGE_METRICS},
        )
    except KeyError as error:
        raise UserError(f"{source}: no column {error}") from None


def said_in_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in which a model said something, with the columns of a TOFU suite: a prompt is its question."""
    said = frame[frame["set"].isin(ROUGE_METRICS)].rename(columns={"prompt": "question"})
    # An excerpt and a question of one set in the report may be called alike.
    return said.assign(id=said["set"] + "/" + said["id"])
