"""How often a model prefers the right answer: a metric of TOFU."""

from palimpsest.benchmarks.tofu.items import Sets
from palimpsest.evaluation.metric import Metric


def forget_accuracy(sets: Sets) -> float | None:
    """Return the share of forget questions whose right answer has less loss a token than every wrong one; None without them."""
    if not (forget := sets.get("forget")):
        return None
    return float((forget.answer < forget.perturbed.min(axis=1)).mean())


FORGET_ACCURACY = Metric("forget_accuracy", forget_accuracy, "Accuracy", "Forget set (nearest Retrain)", "nearest Retrain")
