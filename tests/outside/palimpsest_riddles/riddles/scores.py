"""The metrics of the suite."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from palimpsest.evaluation.metric import Metric, Scoring

# The probability of each answer, to the power of 1 / tokens, by set.
Sets = Mapping[str, NDArray[np.float64]]


def read(table: pd.DataFrame, source: object) -> Sets:
    """Return the probabilities in a table of the suite."""
    likely = table.assign(likely=np.exp(-table["nll"] / table["tokens"]))
    return {str(name): of["likely"].to_numpy() for name, of in likely.groupby("set")}


def gap(sets: Sets, retrain: Sets) -> float:
    """Return by how much the riddles of the forget set are likelier than Retrain finds them."""
    return float(sets["forget"].mean() - retrain["forget"].mean())


METRICS = (
    Metric("riddle_gap", gap, "Gap to Retrain", best="nearest 0", needs="retrain"),
    Metric("riddle_retained", lambda sets: sets["retain"].mean(), "Retained", best="highest"),
)
SCORING = Scoring[Sets](read=read, metrics=METRICS)
