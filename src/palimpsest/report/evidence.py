"""What the report's questions are answered from: the study as it was run, and the tables of its summary."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from palimpsest.report.imported import Imported, are_imported, read_imported
from palimpsest.report.names import DEFAULT, standing_variant
from palimpsest.report.rows import clean_summary, finished, of_block
from palimpsest.report.study import Block, Study, starts_from
from palimpsest.report.tables import Published, Table

# How far a model of Markov chains is from the truth on each chain: its summary has these metrics and no other's has the last two.
RETAIN, FORGET1, FORGET2 = "kl_retain", "kl_forget1", "kl_forget2"
# What a place is of, and so which questions it answers: questions and answers, as in TOFU; chains; texts of one of two shapes.
QUESTIONS, CHAINS, MUSE, WMDP = "", "chains", "muse", "wmdp"


@dataclass(frozen=True)
class Place:
    """The rows of one block and suite: a panel of a figure, a paragraph of findings."""

    block: Block
    suite: str
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """What it is called, as above a table."""
        return self.block.title(self.suite)

    @property
    def identity(self) -> dict[str, str]:
        """What tells it from other places, as in the columns of the summary."""
        return self.block.identity | {"suite": self.suite}

    def of_model(self, method: str, variant: str = "") -> pd.DataFrame:
        """Return the rows of one model."""
        return self.rows[(self.rows["method"] == method) & (self.rows["variant"] == variant)]

    def by_seed(self, metric: str, method: str, variant: str = "") -> pd.Series:
        """Return a metric of one model, indexed by seed; empty where it has none."""
        rows = self.of_model(method, variant)
        rows = rows[rows["metric"] == metric]
        return pd.Series(rows["value"].to_numpy(dtype=float), index=rows["seed"].to_numpy(dtype=int)).sort_index()


@dataclass(frozen=True)
class Evidence:
    """The tables of the summary artefact in `summary`, read once each; `published` is as in the report's spec."""

    study: Study
    summary: Path
    published: Published = field(default_factory=dict)

    @cached_property
    def results(self) -> pd.DataFrame:
        """The tidy summary: `epoch` is missing for a finished model, a number along a trajectory or an attack.

        Without what was imported, so that no finding counts it among the study's own models.
        """
        return self._summary[~are_imported(self._summary, self.study.blocks)]

    @cached_property
    def imported(self) -> list[Imported]:
        """The models of logs that others made."""
        rows = self._summary[are_imported(self._summary, self.study.blocks)]
        return read_imported(self.summary, rows, self.study.blocks)

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return clean_summary(pd.read_parquet(self.summary / "summary.parquet"))

    @cached_property
    def remarks(self) -> pd.DataFrame:
        """What a reader of the numbers must be told of the models."""
        return pd.read_parquet(self.summary / "remarks.parquet").fillna({"variant": "", "attack": ""})

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

    @cached_property
    def finished(self) -> list[Place]:
        """The places of finished models that were asked questions."""
        return list(self.places(finished(self.results)))

    @cached_property
    def chains(self) -> list[Place]:
        """The places of Markov chains, with the rows of finished models and of those that were watched."""
        return list(self.places(self.results[self.results["attack"] == ""], CHAINS))

    def texts(self, shape: str) -> list[Place]:
        """Return the places of finished models of a benchmark of texts, MUSE or WMDP."""
        return list(self.places(finished(self.results), shape))

    def places(self, rows: pd.DataFrame, kind: str = QUESTIONS) -> Iterator[Place]:
        """Yield every block and suite of one kind that rows are of, in the order of the page."""
        for block in self.study.blocks:
            for suite, of_suite in of_block(rows, block).groupby("suite", sort=True):
                is_chain = of_suite["metric"].isin([FORGET1, FORGET2]).any()
                if (CHAINS if is_chain else self.study.shape(block)) == kind:
                    yield Place(block, str(suite), of_suite)

    def published_for(self, block: Block) -> Mapping[str, Mapping[str, float]]:
        """Return the values published for a block: method to metric to value."""
        return self.published.get("/".join(block.key), {})

    def watched_variant(self, block: Block, method: str, watched: Iterable[str]) -> str | None:
        """Return the variant whose trajectory stands for a method: the default, or the trial that was chosen, or the first."""
        settings = block.methods.get(method, {}) | block.trials.get(method, {})
        plain = [name for name in watched if starts_from(settings.get(name, {}))]
        choices = of_block(self.choices, block)
        picked = choices.loc[(choices["method"] == method) & choices["chosen"].astype(bool), "variant"]
        return next((name for name in (DEFAULT, *picked) if name in plain), standing_variant(plain))


@dataclass(frozen=True)
class Answer:
    """What a study says on one question: computed sentences, the figure with its caption, and the numbers behind it."""

    findings: list[str]
    """The first is the answer in short, with the paper or against it where it claims anything."""
    figure: Figure
    alt: str
    caption: str
    numbers: pd.DataFrame
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A short table of text for the page, heads as they are shown; empty where the figure says it all."""
    tables: list[Table] = field(default_factory=list)
    """Tables of numbers, where the figure is drawn from such."""
    note: str = ""
    """How these are to be read."""
