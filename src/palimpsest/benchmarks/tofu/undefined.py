"""Notes for readers of a log's scores: why a score is undefined, and whether two logs are the same."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from palimpsest.benchmarks.tofu.items import SETS, UTILITY_SETS, Items
from palimpsest.benchmarks.tofu.logs import Log
from palimpsest.benchmarks.tofu.metrics import LEAST_ITEMS
from palimpsest.benchmarks.tofu.scores import tofu_scores

SCORES = ("probability", "rouge", "truth_ratio")
# The sets that model utility needs.
PARTS = tuple(f"{name}_{score}" for name in UTILITY_SETS for score in SCORES)
COPY = "the forget set holds the very numbers of Retrain's log: forget quality then says nothing"


def undefined_scores(log: Log) -> dict[str, str]:
    """Return the reasons for undefined scores of a log, by name: scores of each set, and model utility."""
    scores = tofu_scores(log.sets)
    reasons = {
        f"{name}_{score}": reason
        for name in SETS
        for score in SCORES
        if (reason := _why(log, name, score)) and not np.isfinite(scores.get(f"{name}_{score}", np.nan))
    }
    if lacking := [part for part in PARTS if part in reasons]:
        more = f", and {len(lacking) - 1} more of its parts" if len(lacking) > 1 else ""
        reasons["model_utility"] = f"it needs {lacking[0]}{more}"
    return reasons


def undefined_quality(items: Items, retrain: Items) -> str:
    """Return the reason why the forget quality of two forget sets is undefined; empty if it is defined."""
    for whose, of in (("", items), ("Retrain's log: ", retrain)):
        if len(of) < LEAST_ITEMS:
            return f"{whose}its test needs {LEAST_ITEMS} items, and there is one"
        if reason := _undefined_ratio(of):
            return whose + reason
    return ""


def are_copies(items: Items, other: Items) -> bool:
    """Return whether two sets have the same losses in any order."""
    one, two = _sorted(items), _sorted(other)
    return one.shape == two.shape and np.allclose(one, two, rtol=1e-12, atol=0, equal_nan=True)


def _why(log: Log, name: str, score: str) -> str:
    if name not in log.sets:
        return log.missing.get(name, "the log has no such set")
    items = log.sets[name]
    if score == "truth_ratio":
        return _undefined_ratio(items)
    if score == "rouge":
        if items.rouge is None:
            return "the log has no ROUGE-L of this set"
        return _counted("ROUGE-L is missing", np.isnan(items.rouge))
    chosen = name not in ("forget", "retain")
    losses = np.column_stack([items.answer, items.perturbed]) if chosen else items.answer[:, np.newaxis]
    return _counted("a loss is NaN", np.isnan(losses)) or _counted("all losses are infinite", np.isinf(losses).all(axis=1))


def _undefined_ratio(items: Items) -> str:
    losses = np.column_stack([items.base, items.perturbed])
    return _counted("a loss is NaN", np.isnan(losses)) or _counted(
        "the losses of right and wrong answers are infinite", np.isnan(items.log_truth_ratio)
    )


def _counted(what: str, found: Any) -> str:
    """Return, as text, the number of items with a finding, given as (items,) or (items, losses); empty if there is none."""
    return f"{what} in {found.reshape(len(found), -1).any(axis=1).sum()} of {len(found)} items" if found.any() else ""


def _sorted(items: Items) -> NDArray[np.float64]:
    losses = np.column_stack([items.answer, items.base, items.perturbed])
    return losses[np.lexsort(losses.T)]
