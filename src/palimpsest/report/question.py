"""A question of the report as data: what it is asked of, the figure, numbers and tables that answer it, and its claims."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from palimpsest.report.claims import Claim, Verdict, judge
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Grid
from palimpsest.report.tables import Table


@dataclass(frozen=True)
class Answer:
    """What a study shows on one question."""

    figure: Grid
    alt: str
    caption: str
    numbers: pd.DataFrame
    """The CSV behind it."""
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A table of text for the page; empty where the figure or `tables` say it all."""
    tables: Sequence[Table] = ()
    facts: Sequence[str] = ()
    """Computed sentences of one clause."""
    note: str = ""
    """How to read the tables."""
    verdicts: Sequence[Verdict] = ()
    """On the claims, in every place that has both their numbers."""


@dataclass(frozen=True)
class Question:
    """One page."""

    id: str
    title: str
    source: str
    """Where the paper asks it."""
    find: Callable[[Evidence], Iterable[Any]]
    """Yields what the question is about, a thing per place or method."""
    show: Callable[[Evidence, list[Any]], Answer | None]
    """Shows what was found; returns None where that is nothing to show."""
    claims: Sequence[Claim] = ()
    short: str = ""
    """What the navigation calls it, if not its id."""

    def answer(self, evidence: Evidence) -> Answer | None:
        """Return what a study shows; None where it has no data for it."""
        found = list(self.find(evidence))
        answer = self.show(evidence, found) if found else None
        pairs = ((claim, pair) for claim in self.claims if answer for pair in claim.pairs(evidence, found))
        verdicts = [judge(claim, pair, self.id) for claim, pair in pairs if len(pair.greater) and len(pair.than)]
        return answer and replace(answer, verdicts=verdicts)
