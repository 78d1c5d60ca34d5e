"""The metrics of the suite of depth (arXiv 2605.24614, Sec. 3)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from palimpsest.evaluation.metric import SHARE, Metric, Scoring
from palimpsest.evaluation.sets import split_sets
from palimpsest.metrics.depth import depth_scores
from palimpsest.metrics.intervals import Interval, bootstrap_interval
from palimpsest.metrics.spread import Array, mean

# The rows of one model by set: there is one, the forget set.
Sets = Mapping[str, pd.DataFrame]
FORGET = "forget"
COLUMNS = ("set", "id", "layer", "tokens", "nll", "nll_from_retrain", "nll_from_model", "nll_lens", "threshold")
UDS = "arXiv 2605.24614, Sec. 3; there of an entity in the answer, here of the whole answer"


def read_sets(table: pd.DataFrame, source: object) -> Sets:
    """Return the rows of one model; raises UserError that begins with `source` if a column of the suite is missing."""
    return split_sets(table, COLUMNS, source)


def depths(sets: Sets) -> Array:
    """Return the depth score of each item that some layer holds, shape (items,)."""
    rows = sets[FORGET]
    costs = {name: _by_layer(rows, f"nll_from_{name}") - _by_layer(rows, "nll") for name in ("retrain", "model")}
    scores = depth_scores(costs["retrain"], costs["model"], float(rows["threshold"].iloc[0]))
    return scores[np.isfinite(scores)]


def lens(sets: Sets) -> Mapping[str, float]:
    """Return the mean probability of forget answers that the head reads from each layer, by the layer's number."""
    rows = sets[FORGET]
    probabilities = np.exp(-_by_layer(rows, "nll_lens")).mean(axis=0)
    return {str(layer): float(value) for layer, value in zip(sorted(rows["layer"].unique()), probabilities, strict=True)}


def _by_layer(rows: pd.DataFrame, column: str) -> Array:
    """Return a summed NLL per label, shape (items, layers)."""
    table = (rows[column] / rows["tokens"]).to_numpy(dtype=np.float64)
    return table.reshape(-1, rows["layer"].nunique())


def _interval(sets: Sets) -> Interval:
    return bootstrap_interval(depths(sets).tolist())


METRICS = (
    Metric(
        "depth_score",
        lambda sets: mean(depths(sets).tolist()),
        "Depth\N{NO-BREAK SPACE}\N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}1",
        "Depth",
        "highest",
        interval=_interval,
        formula="mean over items of sum r min(max(m/r, 0), 1) / sum r, over the layers with r above the threshold",
        bounds=SHARE,
        source=UDS,
    ),
    Metric(
        "depth_items",
        lambda sets: float(len(depths(sets))),
        formula="number of items with such a layer; the others have no depth score",
        bounds=(0.0, float("inf")),
        source=UDS,
    ),
    Metric(
        "lens_probability_",
        lens,
        suffixes=("LAYER",),
        formula="mean exp(-a) of forget answers, with a the loss per label if the head reads the output of this layer",
        bounds=SHARE,
        source="logit lens (nostalgebraist, 2020)",
    ),
)
SCORING = Scoring[Sets](
    read=read_sets,
    metrics=METRICS,
    symbols="`r` and `m` are what a forget answer costs Original, in nats per label, if the output of one of its layers comes"
    " from Retrain or from the model.",
)
