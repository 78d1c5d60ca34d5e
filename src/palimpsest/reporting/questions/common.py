"""What the questions share: which variant stands for a method, numbers by seed, differences over seeds in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from palimpsest.reporting.evidence import Evidence
from palimpsest.reporting.names import DEFAULT, STANDING, model_label, model_order
from palimpsest.reporting.study import Block, Study, Values
from palimpsest.reporting.tables import Table, of_block
from palimpsest.reporting.tables import finished as finished

START, REFERENCE = "original", "plain"
# What sentences are about, and curves where all would be too many: the methods that the paper compares.
COMPARED = ("ga", "npo", "simnpo")
KEY = ["benchmark", "split", "model"]


@dataclass(frozen=True)
class Place:
    """The rows of one block and suite: a panel of a figure, a paragraph of findings."""

    block: Block
    suite: str
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """What it is called, as above a table."""
        return Table(self.block, self.suite, "", [], []).title

    def of_model(self, method: str, variant: str = "") -> pd.DataFrame:
        """Return the rows of one model."""
        return self.rows[(self.rows["method"] == method) & (self.rows["variant"] == variant)]

    def by_seed(self, metric: str, method: str, variant: str = "") -> pd.Series:
        """Return a metric of one model, indexed by seed; empty where it has none."""
        rows = self.of_model(method, variant)
        return _by_seed(rows[rows["metric"] == metric])


class Spread(NamedTuple):
    """A number over seeds."""

    mean: float
    low: float
    high: float


def along_trajectories(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows taken after epochs of unlearning."""
    return results[(results["attack"] == "") & results["epoch"].notna()]


def places(study: Study, rows: pd.DataFrame) -> Iterator[Place]:
    """Yield every block and suite that rows are of, in the order of the page."""
    for block in study.blocks:
        for suite, of_suite in of_block(rows, block).groupby("suite", sort=True):
            yield Place(block, str(suite), of_suite)


def methods_of(block: Block) -> list[str]:
    """Return the methods of a block in the order of every table."""
    return sorted(block.methods, key=lambda method: model_order(method, ""))


def compared(methods: Iterable[str]) -> list[str]:
    """Return the methods that the paper compares in text and curves, or all where none of them is there."""
    names = list(methods)
    return [name for name in names if name in COMPARED] or names


def standing(variants: Iterable[str], preferred: Sequence[str] = STANDING) -> str | None:
    """Return the variant that stands for a method: the first of the preferred ones, or else its first; None of none."""
    names = list(variants)
    return next((name for name in preferred if name in names), names[0] if names else None)


def variants_of(block: Block, method: str, *, start: str = START, reference: str = REFERENCE) -> list[str]:
    """Return the kept variants of a method that start from one model and read one reference, in the order of the config."""
    return [name for name, settings in block.methods.get(method, {}).items() if _is_from(settings, start, reference)]


def default_variant(block: Block, method: str, *, start: str = START) -> str | None:
    """Return the variant that stands for a method among those that start from a model and read it as it is; None of none."""
    return standing(variants_of(block, method, start=start))


def watched_variant(evidence: Evidence, block: Block, method: str, watched: Iterable[str]) -> str | None:
    """Return the variant whose trajectory stands for a method: the default, or the trial that was chosen, or the first."""
    settings = block.methods.get(method, {}) | block.trials.get(method, {})
    choices = of_block(evidence.choices, block)
    picked = choices.loc[(choices["method"] == method) & choices["chosen"].astype(bool), "variant"]
    plain = [name for name in sorted(watched, key=lambda name: model_order(method, name)) if _is_from(settings.get(name, {}))]
    return standing(plain, [DEFAULT, *picked])


def spread(values: Iterable[float]) -> Spread:
    """Return mean, least and greatest of at least one number."""
    numbers = list(values)
    return Spread(sum(numbers) / len(numbers), min(numbers), max(numbers))


def sign_over_seeds(differences: pd.Series) -> int:
    """Return 1 or -1 if all seeds differ in that direction; 0 if they do not agree, or there is none."""
    if differences.empty:
        return 0
    return 1 if (differences > 0).all() else -1 if (differences < 0).all() else 0


def against_paper(differences: pd.Series, claim: str, contrary: str, numbers: str) -> str:
    """Say whether the seeds bear out the paper's claim that a difference is positive, with the numbers it is between."""
    if differences.empty:
        return f"Whether {claim} cannot be said: no seed has both numbers."
    count, sign = len(differences), sign_over_seeds(differences)
    if sign:
        return f"{f'As in the paper, {claim}' if sign > 0 else f'Unlike in the paper, {contrary}'}: {numbers}, {in_all(count)}."
    if count == 1:
        return f"Whether {claim} is left open: {numbers}, no difference in the only seed."
    held = int((differences > 0).sum())
    return f"Whether {claim} is left open: {numbers}; it holds in {held} of {count} seeds, within their spread."


def in_all(seeds: int) -> str:
    """Say that something holds in all of so many seeds."""
    return {1: "in the only seed, so that no spread is known", 2: "in both seeds"}.get(seeds, f"in all {seeds} seeds")


def joined(parts: Sequence[str]) -> str:
    """Join words to "a, b and c"."""
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), parts[-1]])


def under_titles(sentences: Sequence[tuple[str, str]]) -> list[str]:
    """Put its title before each sentence where there is more than one: (title, sentence) to text."""
    many = len({title for title, _ in sentences}) > 1
    return [f"{title}: {sentence}" if many else sentence for title, sentence in sentences]


def over_seeds(count: int) -> str:
    """Say over how many seeds a mean goes."""
    return f"mean over {count} seeds" if count > 1 else "one seed"


def table_of(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Return rows of text as a table, without the column `Study` where all are of the same."""
    table = pd.DataFrame(rows)
    return table if table["Study"].nunique() > 1 else table.drop(columns="Study")


def variants_shown(models: Iterable[tuple[str, str]]) -> str:
    """Say for the caption which variants stand for their methods, where they are not the defaults."""
    labels = [model_label(*model) for model in dict.fromkeys(models) if model[1] not in ("", DEFAULT)]
    return f" Variants shown: {joined(labels)}." if labels else ""


def _by_seed(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(rows["value"].to_numpy(dtype=float), index=rows["seed"].to_numpy(dtype=int)).sort_index()


def _is_from(settings: Values, start: str = START, reference: str = REFERENCE) -> bool:
    return bool(settings.get("start", START) == start and settings.get("reference", REFERENCE) == reference)
