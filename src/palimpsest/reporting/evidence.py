"""What the report's questions are answered from: the study as it was run, and the tables of its summary."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from palimpsest.reporting.study import Study
from palimpsest.reporting.tables import clean_summary


@dataclass(frozen=True)
class Evidence:
    """The tables of the summary artefact in `summary`, read once each."""

    study: Study
    summary: Path

    @cached_property
    def results(self) -> pd.DataFrame:
        """The tidy summary: `epoch` is missing for a finished model, a number along a trajectory or an attack."""
        return clean_summary(pd.read_parquet(self.summary / "summary.parquet"))

    @cached_property
    def truth_ratios(self) -> pd.DataFrame:
        """The truth ratio of every item of every finished model."""
        return pd.read_parquet(self.summary / "truth_ratios.parquet").fillna({"variant": ""})

    @cached_property
    def weights(self) -> pd.DataFrame:
        """The gradient weight of every forget item in every epoch of every trajectory."""
        return pd.read_parquet(self.summary / "weights.parquet")

    @cached_property
    def choices(self) -> pd.DataFrame:
        """The trials behind every choice: one row a trial and epoch."""
        return pd.read_parquet(self.summary / "choices.parquet")


@dataclass(frozen=True)
class Answer:
    """What a study says on one question: computed sentences, the figure with its caption, and the numbers behind it."""

    findings: list[str]
    figure: Figure
    alt: str
    caption: str
    numbers: pd.DataFrame
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A short table of text for the page, heads as they are shown; empty where the figure says it all."""
