"""What the report is told of the config: the study as it was run, and the published values to print beside it."""

from collections import Counter
from typing import Annotated, Any

from pydantic import Field, field_validator

from palimpsest.names import ORIGINAL, PLAIN
from palimpsest.provenance.canonical import canonical_json
from palimpsest.report.names import model_order, standing_variant
from palimpsest.settings import Option, Settings

Values = dict[str, Any]
# The setting that tells repetitions of one training apart.
DRAW = "draw"
# What an attack counts: the epochs of its training, or its steps where it trains nothing.
TRAINED, UNTRAINED = "epoch", "step"


def starts_from(settings: Values, start: str = ORIGINAL, reference: str = PLAIN) -> bool:
    """Return whether a variant starts from a model and reads a reference."""
    return bool(settings.get("start", ORIGINAL) == start and settings.get("reference", PLAIN) == reference)


class Block(Settings):
    """All that was run of one (benchmark, split, model).

    `methods` maps a method to its variants, `trials` to those of its grid, each to its settings: `training`, `loss`, `start`
    (the model it starts from) and `reference` (whose log-probabilities it reads). A selected variant has neither training nor
    loss settings here: `selections` says how each method's were selected. A method that edits weights has no training.
    """

    benchmark: str
    split: str
    model: str
    seeds: Annotated[list[int], Field(min_length=1)]
    training: Values
    methods: dict[str, dict[str, Values]]
    trials: dict[str, dict[str, Values]] = {}
    selections: dict[str, Values] = {}
    attacks: list[str]
    suites: list[str]
    external: dict[str, str] = {}
    """The labels of logs that others made, by name."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells a block from the others, as in the columns of the summary."""
        return self.benchmark, self.split, self.model

    @property
    def identity(self) -> dict[str, str]:
        """The same by the names of these columns."""
        return {"benchmark": self.benchmark, "split": self.split, "model": self.model}

    def title(self, suite: str = "") -> str:
        """Return what it is called with a suite; one that is called as its benchmark goes without saying."""
        return " / ".join((*self.key, *([suite] if suite not in ("", self.benchmark) else [])))

    def variants_of(self, method: str, *, start: str = ORIGINAL, reference: str = PLAIN) -> list[str]:
        """Return the kept variants of a method that start from one model and read one reference, in the order of the config."""
        return [name for name, settings in self.methods.get(method, {}).items() if starts_from(settings, start, reference)]

    def draws_of(self, method: str) -> dict[str, dict[int, str]]:
        """Return the variants of `variants_of` that differ in the draw alone, by the one that represents them, then by draw."""
        alike: dict[str, dict[int, str]] = {}
        for name in self.variants_of(method):
            training = {**(self.methods[method][name].get("training") or {})}
            draw = training.pop(DRAW, 0)
            alike.setdefault(canonical_json({**self.methods[method][name], "training": training}), {}).setdefault(draw, name)
        return {str(standing_variant(draws.values())): draws for draws in alike.values()}

    def standing(self, method: str, *, start: str = ORIGINAL) -> str | None:
        """Return the variant that stands for a method among those that start from a model and read it as it is."""
        return standing_variant(self.variants_of(method, start=start))

    def standing_models(self, *, start: str = ORIGINAL) -> list[tuple[str, str]]:
        """Return every method that has such a variant, with it, in the order of the tables."""
        methods = sorted(self.methods, key=lambda method: model_order(method, ""))
        return [(method, variant) for method in methods if (variant := self.standing(method, start=start)) is not None]


class Study(Settings):
    """A study as the page shows it: settings by name, and the blocks in the order of the page."""

    name: str
    description: str
    data: dict[str, Values]
    models: dict[str, Values]
    attacks: dict[str, Values]
    suites: dict[str, Values]
    references: dict[str, Values] = {}
    judges: Option[dict[str, Values]] = None
    blocks: Annotated[list[Block], Field(min_length=1)]

    def shape(self, block: Block) -> str:
        """Return the kind of a block's benchmark if it is a corpus, such as muse or wmdp; empty for any other."""
        return str(self.data.get(block.benchmark, {}).get("shape", ""))

    def shares_references(self, block: Block) -> bool:
        """Return whether all seeds of a block share one Original and one Retrain, as where its Original is a given model."""
        return bool(self.models.get(block.model, {}).get(ORIGINAL))

    def unit_of(self, attack: str) -> str:
        """Return what an attack counts, in the singular."""
        return TRAINED if "training" in self.attacks.get(attack, {}) else UNTRAINED

    @property
    def kinds(self) -> set[str]:
        """The kinds of its suites."""
        return {str(suite.get("kind", "")) for suite in self.suites.values()}

    @field_validator("blocks")
    @classmethod
    def _one_block_a_key(cls, blocks: list[Block]) -> list[Block]:
        twice = [key for key, count in Counter(block.key for block in blocks).items() if count > 1]
        if twice:
            raise ValueError(f"{'/'.join(twice[0])} is there twice: one block a benchmark, split and model")
        return blocks


class Published(Settings):
    """Published numbers of one source, by method and metric."""

    source: str
    settings: str = ""
    scores: dict[str, dict[str, float]]

    @property
    def metrics(self) -> list[str]:
        """The metrics that it gives, each once."""
        return list(dict.fromkeys(metric for values in self.scores.values() for metric in values))


class ReportSpec(Settings):
    """The spec of the report; `published` has the sources of published numbers by "benchmark/split/model"."""

    study: Study
    published: dict[str, list[Published]] = {}
