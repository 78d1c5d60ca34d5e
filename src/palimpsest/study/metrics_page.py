"""The page `docs/reference/metrics.md`: the declared metrics of every kind of suite."""

import math
from collections.abc import Iterator
from typing import Any

from palimpsest.benchmarks import kinds, suites
from palimpsest.evaluation.judging.scores import SCORING as JUDGED
from palimpsest.evaluation.metric import Metric, Scoring
from palimpsest.markup import markdown_table

PAGE = "docs/reference/metrics.md"
HEAD = """# Metrics

Made by `python -m palimpsest.study write` from the declarations of the metrics; a test compares them. These are the names in the
column `metric` of `summary.csv`. A number that is not defined has no row; the table of remarks says why.

- **Best**: the direction, and which value the report marks in a column. *nearest Retrain*: the goal is a model that never
  saw the forget set, not 0.
- **Needs**: what a model is compared with. Without it there is no number.
- **Interval**: the metric has a 95 % interval in `NAME_low` and `NAME_high`: a bootstrap over items, or what its formula names.
- **Source**: where the formula is from; *ours* if it is nowhere else.

A trajectory has the same metrics after its epochs (column `epoch`), and `kl_SET`: the mean KL(start ‖ model) per token of the
answers of a set, in nats. An attack with several draws has their mean, and their standard deviation in `NAME_sd`.
"""
NEEDS = {
    "original": "Original",
    "retrain": "Retrain",
    "other_retrains": "Retrains of other seeds",
    "published": "a published score",
}


def metrics_text() -> str:
    """Return the page: a table per kind of suite, and one of judges."""
    scorings = {kind: suites.load(kind, "scores").SCORING for kind in (*kinds.having("scores"), *suites.SHARED)}
    return HEAD + "".join(_section(f"Suite `{kind}`", scoring) for kind, scoring in scorings.items()) + _section("Judge", JUDGED)


def _section(title: str, scoring: Scoring[Any]) -> str:
    heads = ["metric", "formula", "bounds", "best", "needs", "interval", "source"]
    symbols = f"{scoring.symbols}\n\n" if scoring.symbols else ""
    return f"\n## {title}\n\n{symbols}{markdown_table(heads, (list(_row(metric)) for metric in scoring.metrics))}\n"


def _row(metric: Metric) -> Iterator[str]:
    yield "<br>".join(f"`{metric.name}{suffix}`" for suffix in metric.suffixes or [""])
    yield metric.formula
    yield _bounds(*metric.bounds)
    yield metric.best or ("lower" if "↓" in metric.label else "-")
    yield ", ".join(NEEDS[name] for name in metric.compares_with) or "-"
    yield "yes" if metric.interval else "-"
    yield metric.source or "ours"


def _bounds(low: float, high: float) -> str:
    if math.isfinite(high):
        return f"{low:g} to {high:g}"
    return f"≥ {low:g}" if math.isfinite(low) else "any number"
