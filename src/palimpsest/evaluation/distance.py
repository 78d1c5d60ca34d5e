"""How far a model is from Retrain, item by item, where a suite's table has a row and the NLL of each item."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from palimpsest.errors import UserError
from palimpsest.evaluation.metric import COUNT, Metric
from palimpsest.metrics.intervals import bootstrap_interval
from palimpsest.metrics.spread import Array, mean

# The items of one model by set.
Sets = Mapping[str, pd.DataFrame]


def token_losses(rows: pd.DataFrame) -> Array:
    """Return the mean loss per token of each item, shape (items,), in nats, from the columns `nll` and `tokens`."""
    return (rows["nll"] / rows["tokens"]).to_numpy(dtype=np.float64)


def distance_from_retrain(name: str) -> Metric:
    """Return the metric `retrain_distance` of the set `name`, for suites whose symbol `a` is the loss per token of its items."""

    def distances(sets: Sets, retrain: Sets) -> list[float]:
        found: list[float] = np.abs(token_losses(sets[name]) - token_losses(retrain[name])).tolist()
        return found

    return Metric(
        "retrain_distance",
        lambda sets, retrain: mean(distances(sets, retrain)),
        "Distance\N{NO-BREAK SPACE}↓",
        "From Retrain",
        "nearest 0",
        needs="retrain",
        attacked="Distance from Retrain",
        interval=lambda sets, retrain: bootstrap_interval(distances(sets, retrain)),
        formula="mean distance of a from Retrain's a, item by item, in nats",
        bounds=COUNT,
    )


def check_same_items(name: str) -> Callable[[Sets, object, Sets, object], None]:
    """Return the check that a model and Retrain have the same items in the set `name`; it raises UserError."""

    def check(sets: Sets, source: object, retrain: Sets, retrain_source: object) -> None:
        own, other = (of[name][["id", "tokens"]].to_numpy().tolist() for of in (sets, retrain))
        if own != other:
            raise UserError(f"{source}: other items than Retrain in {retrain_source}")

    return check
