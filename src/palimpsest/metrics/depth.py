"""The unlearning depth score: how much of what single layers hold of an answer was removed (arXiv 2605.24614, Sec. 3)."""

import numpy as np

from palimpsest.metrics.spread import Array


def depth_scores(retrain: Array, model: Array, threshold: float) -> Array:
    """Return the depth score of each item, shape (items,), from what patching costs the original, each (items, layers), in nats.

    `retrain` is the cost of Retrain's layer outputs, `model` the cost of the model's. Over the layers whose Retrain costs more
    than the threshold, it is the mean of the ratio model / retrain, cut to [0, 1] and weighted by retrain: 0 if the model's
    layers hold as much as the original's, 1 if they hold as little as Retrain's. NaN for an item without such a layer.
    """
    held = retrain > threshold
    weights = np.where(held, retrain, 0.0)
    ratios = np.clip(np.divide(model, retrain, out=np.zeros_like(retrain), where=held), 0.0, 1.0)
    with np.errstate(invalid="ignore"):
        scores: Array = (weights * ratios).sum(axis=1) / weights.sum(axis=1)
    return scores
