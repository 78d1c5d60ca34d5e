"""The questions of the report: a file here for what several benchmarks share, `page.py` beside a benchmark for its own."""

from importlib import import_module

from palimpsest.report.pages import own_pages
from palimpsest.report.question import Question
from palimpsest.report.questions import (
    ablation,
    depth,
    halves,
    meta,
    reference,
    relearning,
    robustness,
    seeds,
    selection,
    speed,
    trajectory,
    weights,
)

SHARED = (seeds, halves, weights, speed, trajectory, reference, ablation, relearning, robustness, meta, depth, selection)


def all_questions() -> tuple[Question, ...]:
    """Return all questions, in the order of the page."""
    own = [question for name in own_pages() for question in import_module(name).QUESTIONS]
    return (*(question for module in SHARED for question in module.QUESTIONS), *own)
