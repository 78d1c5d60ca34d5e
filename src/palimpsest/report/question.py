"""A question of the report: a function finds results in a study; the page shows them and judges the claims on them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from palimpsest.report.claims import Claim, Verdict, judge
from palimpsest.report.evidence import Evidence
from palimpsest.report.figures import Grid, Panel, stacked
from palimpsest.report.tables import Table
from palimpsest.report.words import table_of, under_titles, variants_shown


@dataclass(frozen=True)
class Found:
    """The results of a question in one place; each question has a subclass that makes the panels, rows and sentences."""

    title: str
    """Its title in tables, sentences and verdicts."""
    models: Sequence[tuple[str, str]]
    """The models that are drawn: the caption names their variants."""
    numbers: pd.DataFrame
    """The rows of the CSV."""
    table: Table | None = field(default=None, kw_only=True)
    """The table of scores that the page prints, if any."""
    head: str | None = field(default=None, kw_only=True)
    """The head above its panels, if it is not the title; panels with the same head stand side by side."""
    note: str = field(default="", kw_only=True)
    """A note below its table of scores."""

    def panels(self) -> Iterable[Panel]:
        """Yield its panels of the figure."""
        return ()

    def rows(self) -> Iterable[dict[str, str]]:
        """Yield its rows of the table of text, by column."""
        return ()

    def facts(self) -> Iterable[str]:
        """Yield sentences of one clause, computed from its numbers."""
        return ()


def by_column(key: str) -> Callable[[Any, str], pd.Series]:
    """Return the `value` of a claim about a column of the table of scores."""
    return lambda of, method: of.table.by_seed(method, key)


@dataclass(frozen=True)
class Answer:
    """The answer of a study to one question."""

    figure: Grid
    caption: str
    numbers: pd.DataFrame
    """The CSV behind it."""
    table: pd.DataFrame
    """A table of text for the page; empty where the figure or `tables` say it all."""
    tables: Sequence[Table]
    facts: Sequence[str]
    note: str
    """How to read the tables."""
    verdicts: Sequence[Verdict]
    """On the claims, in every place that has both their numbers; each undecided until `decide` has corrected all of a report."""


@dataclass(frozen=True)
class Question:
    """One page."""

    id: str
    title: str
    source: str
    """Where the paper asks it; empty if it does not."""
    find: Callable[[Evidence], Iterable[Found]]
    alt: str
    caption: str
    claims: Sequence[Claim] = ()
    grid: Callable[..., Grid] = Grid
    """Makes the figure of its rows of panels."""
    legend: Callable[[Sequence[Any]], str] = lambda found: ""
    """Returns the end of the caption, which depends on the results."""
    note: str = ""
    """How to read its tables of scores."""
    short: str = ""
    """What the navigation calls it, if not its id."""

    def answer(self, evidence: Evidence) -> Answer | None:
        """Return the answer of a study; None if it has no numbers for it."""
        found = list(self.find(evidence))
        numbers = stacked(of.numbers for of in found)
        if numbers.empty:
            return None
        panels: dict[str, list[Panel]] = {}
        for of in found:
            panels.setdefault(of.title if of.head is None else of.head, []).extend(of.panels())
        tables = [of.table for of in found if of.table]
        notes = (self.note, *(table.how_to_read for table in tables[:1]), *(of.note for of in found))
        pairs = [(claim, pair) for claim in self.claims for pair in claim.pairs(evidence, found)]
        return Answer(
            figure=self.grid([(head, row) for head, row in panels.items() if row]),
            caption=self.caption + self.legend(found) + variants_shown(model for of in found for model in of.models),
            numbers=numbers,
            table=table_of([(of.title, row) for of in found for row in of.rows()]),
            tables=tables,
            facts=under_titles([(of.title, text) for of in found for text in of.facts()]),
            note=" ".join(filter(None, notes)),
            verdicts=[judge(claim, pair, self.id) for claim, pair in pairs if len(pair.greater) and len(pair.than)],
        )
