"""Benchmarks of texts for the tests of the report: rows of MUSE and of WMDP that are written out number by number."""

from collections.abc import Mapping
from typing import Any

from question_example import Rows, settings
from report_example import block, numbers

from palimpsest.report.study import Block

DATA: dict[str, Any] = {
    "news": {"shape": "muse", "retrain_auc": 0.4772},
    "books": {"shape": "muse", "retrain_auc": None},
    "bio": {"shape": "wmdp", "forget_task": "wmdp_bio", "utility_task": "mmlu"},
}
# VerbMem and KnowMem on the forget set, KnowMem on the retain set, PrivLeak.
METRICS = ("verbmem_f", "knowmem_f", "knowmem_r", "privleak")
TASKS = ("wmdp_bio/acc", "mmlu/acc")
# By model, a list a model with an entry a seed; "npo/beta-1" is a variant.
Scores = Mapping[str, list[tuple[float, ...]]]

NPO, SIMNPO = (0.0, 40.0, 30.0, 100.0), (30.0, 20.0, 40.0, -50.0)
REFERENCES = {"original": [(60.0, 60.0, 50.0, -99.0)], "retrain": [(20.0, 30.0, 50.0, 0.0)]}


def texts(*methods: str, split: str = "forget", benchmark: str = "news", **changes: Any) -> Block:
    """A block of texts; "npo/beta-1" is a variant."""
    found: dict[str, dict[str, Any]] = {}
    for name in methods or ("npo", "simnpo"):
        method, _, variant = name.partition("/")
        found.setdefault(method, {})[variant or "default"] = settings()
    suite = {"bio": "hazards"}.get(benchmark, "muse")
    return block(**({"benchmark": benchmark, "split": split, "suites": [suite], "methods": found} | changes))


def rows(
    models: Scores, split: str = "forget", benchmark: str = "news", metrics: tuple[str, ...] = METRICS, **place: str
) -> Rows:
    """Rows of a tidy summary of finished models; a number that is None has no row."""
    by_seed = {
        name: {
            seed: {key: value for key, value in zip(metrics, scores, strict=False) if value is not None}
            for seed, scores in enumerate(seeds)
        }
        for name, seeds in models.items()
    }
    place = {"benchmark": benchmark, "suite": "hazards" if benchmark == "bio" else "muse"} | place
    return [row | place for row in numbers(by_seed, split=split)]


def with_intervals(found: Rows, half: float) -> Rows:
    """The same rows with an interval of so much on each side of every number."""
    ends = [("low", -half), ("high", half)]
    return found + [row | {"metric": f"{row['metric']}_{end}", "value": row["value"] + by} for row in found for end, by in ends]
