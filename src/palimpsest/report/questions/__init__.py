"""The questions of the report, a module each, in the order of the page; a module with an underscore serves some of them."""

from typing import Protocol

from palimpsest.report.evidence import Answer, Evidence
from palimpsest.report.questions import (
    ablation,
    length,
    markov,
    memorisation,
    muse,
    reference,
    relearning,
    requests,
    seeds,
    selection,
    trajectory,
    weights,
    wmdp,
)


class Question(Protocol):
    """What a module of this package has."""

    __name__: str
    QUESTION: str
    """The title: a question."""
    PAPER: str
    """Where the paper asks it."""

    def answer(self, evidence: Evidence) -> Answer | None:
        """Return the answer, None where the study has no data for it."""


QUESTIONS: tuple[Question, ...] = (
    memorisation,
    length,
    weights,
    trajectory,
    reference,
    ablation,
    relearning,
    seeds,
    selection,
    muse,
    requests,
    wmdp,
    markov,
)
# What came out on a benchmark that has no other table: their findings open the page.
LEADING: tuple[Question, ...] = (muse, requests, wmdp)


def question_id(question: Question) -> str:
    """Return what its section, its figure and its table are called: the module's own name."""
    return question.__name__.rpartition(".")[2]
