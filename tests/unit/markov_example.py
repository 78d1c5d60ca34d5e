"""Markov chains for the tests of the report: rows of paths that are written out point by point."""

from collections.abc import Mapping, Sequence
from typing import Any

from question_example import settings
from report_example import block

from palimpsest.report.study import Block

METRICS = ("kl_retain", "kl_forget1", "kl_forget2")
# Retain distance, distance on Forget1 and on Forget2: one point, or one an iteration.
Point = tuple[float, float, float]


def chains(*methods: str, split: str = "lengths", **changes: Any) -> Block:
    """A block of Markov chains; "npo/beta-1" is a variant, "npo/draw-1" another draw of the default."""
    found: dict[str, dict[str, Any]] = {}
    for name in methods or ("npo", "simnpo"):
        method, _, variant = name.partition("/")
        kind, _, value = variant.partition("-")
        own = {"training": {"draw": int(value)}} if kind == "draw" else {"loss": {kind: value} if kind else {}}
        found.setdefault(method, {})[variant or "default"] = settings() | own
    place = {"benchmark": "markov", "split": split, "model": "gpt2", "suites": ["markov"], "methods": found}
    return block(**(place | changes))


def rows(
    models: Mapping[str, Mapping[int, Point | Sequence[Point]]], split: str = "lengths", error: float = 0.001
) -> list[dict[str, Any]]:
    """Rows of a tidy summary by model and seed: a point is a finished model, a list of them a path."""
    found = []
    for name, by_seed in models.items():
        method, _, variant = name.partition("/")
        for seed, of in by_seed.items():
            is_path = isinstance(of[0], tuple)
            key = {"benchmark": "markov", "split": split, "model": "gpt2", "seed": seed, "method": method}
            key |= {"variant": variant or ("default" if is_path else ""), "attack": "", "suite": "markov"}
            for epoch, point in enumerate(of if is_path else [of]):
                at = key | {"epoch": epoch if is_path else None}
                for metric, value in zip(METRICS, point, strict=True):
                    found += [at | {"metric": metric, "value": value}, at | {"metric": f"{metric}_se", "value": error}]
    return found
