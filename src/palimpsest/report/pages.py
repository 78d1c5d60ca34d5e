"""What benchmarks bring to the report, found by listing, so that nothing names one: their pages and their metrics."""

from collections.abc import Iterable
from typing import Any

from palimpsest.benchmarks import kinds, suites
from palimpsest.evaluation.metric import Metric, Scoring

PAGE, SCORES = "page", "scores"


def page_modules() -> list[str]:
    """Return the modules of benchmarks that the report reads, for its code digest: pages, and declarations of metrics."""
    return [*own_pages(), *(name for kind in _scored() for name in suites.scoring_modules(kind))]


def own_pages() -> list[str]:
    """Return the names of the modules `page` of all benchmarks."""
    return [kinds.module_name(kind, PAGE) for kind in kinds.having(PAGE)]


def declared_metrics(used: Iterable[str], *, paged: bool = True) -> list[Metric]:
    """Return the metrics of the given kinds of suites, including metrics from other packages.

    With `paged` false, kinds that have a page of their own are left out.
    """
    left = [kind for kind in _scored() if kind in {*used} and (paged or kind not in kinds.having(PAGE))]
    return [
        metric
        for kind in left
        for metric in (*suites.load(kind, SCORES).SCORING.metrics, *(point.load() for point in suites.added_metrics(kind)))
    ]


def _scored() -> list[str]:
    """Return the kinds of suites whose metrics are declared: kinds of one benchmark, and kinds that serve several."""
    return [*kinds.having(SCORES), *suites.SHARED]


def scoring_of(kind: str) -> Scoring[Any] | None:
    """Return the scoring of a kind of suite; None for a suite that no benchmark brings."""
    found: Scoring[Any] | None = suites.load(kind, SCORES).SCORING if kind in kinds.having(SCORES) else None
    return found
