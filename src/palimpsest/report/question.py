"""A question of the report as data: its title, its claims, and the figure, numbers and tables that answer it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from palimpsest.report.claims import Claim
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


@dataclass(frozen=True)
class Question:
    """One page: `answer` returns None where the study has no data for it."""

    id: str
    title: str
    source: str
    """Where the paper asks it."""
    answer: Callable[[Evidence], Answer | None]
    claims: Sequence[Claim] = ()
    short: str = ""
    """What the navigation calls it, if not its id."""
