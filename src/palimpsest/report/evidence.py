"""What the report is made from: the study as it was run, and the tables of its summary."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from palimpsest.names import DEFAULT, ORIGINAL, RETRAIN, ROLES
from palimpsest.report.imported import Imported, are_imported, read_imported
from palimpsest.report.names import standing_variant
from palimpsest.report.rows import KEY, clean_summary, finished, of_block, of_models
from palimpsest.report.study import Block, Published, Study, starts_from

# What identifies a model in the tables of the summary.
MODEL = [*KEY, "seed", "method", "variant", "attack"]


@dataclass(frozen=True)
class Place:
    """The rows of one block and suite: a row of panels in a figure."""

    block: Block
    suite: str
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """What it is called, as above a table."""
        return self.block.title(self.suite)

    @property
    def identity(self) -> dict[str, str]:
        """Its identifying columns in the summary."""
        return self.block.identity | {"suite": self.suite}

    def of_model(self, method: str, variant: str = "") -> pd.DataFrame:
        """Return the rows of one model."""
        return of_models(self.rows, [(method, variant)])

    def by_seed(self, metric: str, method: str, variant: str = "") -> pd.Series:
        """Return a metric of one model, indexed by seed; empty if the model lacks it."""
        rows = self.of_model(method, variant)
        rows = rows[rows["metric"] == metric]
        return pd.Series(rows["value"].to_numpy(dtype=float), index=rows["seed"].to_numpy(dtype=int)).sort_index()

    def standing_by_seed(self, metric: str, method: str) -> pd.Series:
        """Return a metric of the variant that represents a method, indexed by seed; empty if the model lacks it."""
        variant = "" if method in ROLES else self.block.standing(method)
        return pd.Series(dtype=float) if variant is None else self.by_seed(metric, method, variant)

    def points(self, metric: str, models: Iterable[tuple[str, str]]) -> pd.DataFrame:
        """Return a metric of models as `method`, `variant`, `seed`, `value` and `folder`."""
        columns = ["method", "variant", "seed", "value", "folder"]
        rows = [self.of_model(*model).sort_values("seed") for model in models]
        return pd.concat([self.rows[:0], *rows]).query("metric == @metric")[columns].reset_index(drop=True)


@dataclass(frozen=True)
class Evidence:
    """The tables of the summary artefact in `summary`, read once each; `published` is as in the report's spec."""

    study: Study
    summary: Path
    published: Mapping[str, Sequence[Published]] = field(default_factory=dict)

    @cached_property
    def results(self) -> pd.DataFrame:
        """The tidy summary: `epoch` is missing for a finished model, a number along a trajectory or an attack.

        Without what was imported, so that nothing counts it among the study's own models; `folder` is where the artefact behind a
        number lies, below the results.
        """
        own = self._summary[~are_imported(self._summary, self.study.blocks)]
        key = [*MODEL, "suite"]
        folders = self.artefacts.drop_duplicates(key).astype({"seed": int})
        folders = folders.assign(folder=folders["manifest"].str.rsplit("/", n=1).str[0])
        return own.merge(folders[[*key, "folder"]], on=key, how="left").fillna({"folder": ""})

    @cached_property
    def artefacts(self) -> pd.DataFrame:
        """The artefact behind each number, as text: the columns of its model, its manifest and the hash of its content."""
        return pd.read_csv(self.summary / "artefacts.csv", keep_default_na=False, dtype=str)

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
    def samples(self) -> pd.DataFrame:
        """The answer of every model to every question with its numbers, as `scores.tables.samples` writes it."""
        return pd.read_parquet(self.summary / "samples.parquet")

    @cached_property
    def weights(self) -> pd.DataFrame:
        """The gradient weight of every forget item in every epoch of every trajectory."""
        return pd.read_parquet(self.summary / "weights.parquet")

    @cached_property
    def losses(self) -> pd.DataFrame:
        """The NLL of every forget answer in every epoch of every trajectory."""
        return pd.read_parquet(self.summary / "losses.parquet")

    @cached_property
    def selections(self) -> pd.DataFrame:
        """The trials behind every selection: one row per trial and epoch."""
        return pd.read_parquet(self.summary / "selections.parquet")

    def finished(self, *metrics: str) -> list[Place]:
        """Return the places whose finished models have one of these metrics."""
        return self.places(finished(self.results), *metrics)

    def places(self, rows: pd.DataFrame, *metrics: str) -> list[Place]:
        """Return every block and suite with rows of one of these metrics, or of any, in the order of the page."""
        return [
            Place(block, str(suite), of_suite)
            for block in self.study.blocks
            for suite, of_suite in of_block(rows, block).groupby("suite", sort=True)
            if not metrics or of_suite["metric"].isin(metrics).any()
        ]

    def levels(self, place: Place, metrics: Iterable[str]) -> dict[str, dict[str, float]]:
        """Return what Retrain and Original reach in a place, finished, by metric: means over seeds."""
        rows = of_block(finished(self.results), place.block)
        done = Place(place.block, place.suite, rows[rows["suite"] == place.suite])
        found = {metric: {role: done.by_seed(metric, role) for role in (RETRAIN, ORIGINAL)} for metric in metrics}
        return {metric: {role: float(by.mean()) for role, by in of.items() if len(by)} for metric, of in found.items()}

    def sources(self, block: Block) -> Sequence[Published]:
        """Return the sources that published numbers for a block."""
        return self.published.get("/".join(block.key), [])

    def published_for(self, block: Block) -> Mapping[str, Mapping[str, float]]:
        """Return the values published for a block: method to metric to value, of the first source that names the method."""
        return {method: values for source in reversed(self.sources(block)) for method, values in source.scores.items()}

    def watched_variant(self, block: Block, method: str, watched: Iterable[str]) -> str | None:
        """Return the variant whose trajectory represents a method: the default, or the trial that was selected, or the first."""
        settings = block.methods.get(method, {}) | block.trials.get(method, {})
        plain = [name for name in watched if starts_from(settings.get(name, {}))]
        selections = of_block(self.selections, block)
        picked = selections.loc[(selections["method"] == method) & selections["selected"].astype(bool), "variant"]
        return next((name for name in (DEFAULT, *picked) if name in plain), standing_variant(plain))
