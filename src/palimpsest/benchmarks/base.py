"""The base classes of benchmarks (their config entries, with everything that differs between kinds) and of data sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from palimpsest.errors import UserError
from palimpsest.mistakes import place
from palimpsest.names import ORIGINAL, RETRAIN, ModelId, Name
from palimpsest.settings import Settings


class Data(Protocol):
    """A complete data set, as returned by a source."""

    @property
    def origin(self) -> Mapping[str, Any]:
        """The origin of the data: licence, revision, hashes of files."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""


class Source(Settings, ABC):
    """A source of a benchmark's data. The config imports every source, so its module must not import anything slow."""

    kind: str
    sets: ClassVar[tuple[str, ...]]
    """Patterns of the names of the sets that have rows."""

    @abstractmethod
    def read(self) -> Data:
        """Return the data set; raises UserError if it cannot be read."""

    @property
    def teaches_base(self) -> bool:
        """Whether the data include a corpus for the base of a tiny model."""
        return "base" in self.sets

    def tokens(self, item: float) -> float:
        """Return about how many tokens of questions, or of the forget corpus, there are; `item` is the tokens of one item."""
        return 1e5

    def check(self, *at: str | int) -> None:
        """Raise UserError if a setting that only some studies need is missing."""


class LocalSource(Source):
    """A source in a local folder, which the user may edit."""

    path: str
    holds: ClassVar[str]
    """A description of the folder's expected contents."""

    @abstractmethod
    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""


class Block(Protocol):
    """The part of a config block that a benchmark uses."""

    @property
    def benchmark(self) -> str:
        """The name of the benchmark."""

    @property
    def models(self) -> Sequence[str]:
        """The names of its models."""

    @property
    def suites(self) -> Sequence[str]:
        """The names of its suites."""

    @property
    def variants(self) -> Mapping[str, Sequence[str]]:
        """The variants of each method."""


class Study(Protocol):
    """The part of a config that a benchmark uses."""

    @property
    def sources(self) -> Mapping[str, Source]:
        """The sources of data by name."""

    @property
    def models(self) -> Mapping[str, Any]:
        """The settings of models by name."""

    @property
    def suites(self) -> Mapping[str, Any]:
        """The settings of suites by name."""

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks of the study."""


class Variant(Protocol):
    """The part of a variant's settings that a benchmark uses."""

    @property
    def training(self) -> Any:
        """The settings of training; None for a method that does not train."""

    @property
    def retain_loss(self) -> str:
        """The kind of its retain loss."""

    @property
    def start(self) -> str:
        """The model that unlearning starts from."""

    @property
    def reference(self) -> str:
        """The name of the reference log-probabilities."""


class Resolved(Protocol):
    """The resolved settings of a study, from which a benchmark's own stages make their specs."""

    def benchmark(self, name: str) -> Any:
        """Return the settings of a benchmark."""

    def model(self, name: str) -> Any:
        """Return the settings of a model."""

    def finetuning(self, benchmark: str, split: str, model: str) -> Settings:
        """Return how original and Retrain are trained."""

    def variant(self, of: ModelId) -> Any:
        """Return the settings of a variant."""


class Benchmark(Settings, ABC):
    """An entry under `benchmarks` of the config. The class of each kind is in `benchmark.py` of the kind's folder.

    Modules in the folder's `stages` replace the general stages of the same name: each has a `Spec`, the function `spec` that
    makes it, and `work`.
    """

    kind: str
    roles: ClassVar[tuple[str, ...]] = (ORIGINAL, RETRAIN)
    """The models that every method is compared with."""
    model_kinds: ClassVar[tuple[str, ...]] = ("tiny", "pretrained", "packaged")
    model: ClassVar[type[Settings] | None] = None
    """The settings of a kind of model that no other benchmark has."""
    suite_kinds: ClassVar[tuple[str, ...]] = ()
    measures_attacks: ClassVar[str] = ""
    """The kind of suite that measures a model after each step of an attack; empty for the kind of the benchmark itself. A module
    `losses` of the benchmark takes the suite's place."""
    other_sets: ClassVar[tuple[str, ...]] = ()
    """The sets of a split about something else than the forget and the retain set, which an attacker may learn."""
    takes_logs: ClassVar[bool] = False
    """Whether imported evaluation logs may appear in its tables."""
    has_facts: ClassVar[bool] = False
    """Whether training can rehearse facts about the world (`fact_lessons`)."""
    is_corpus: ClassVar[bool] = False
    """Whether models learn a corpus, divided into chunks, instead of questions with answers."""
    measures_itself: ClassVar[bool] = False
    """Whether the benchmark has one suite of its own, with its name, that evaluates every model and watches every training."""
    draws_anew: ClassVar[bool] = False
    """Whether each seed draws its own data (stage `draw`) and initial weights, so that there is no base."""
    retrain_split: ClassVar[str | None] = None
    """The split of the Retrain that all splits share; None if every split has its own Retrain."""

    @property
    @abstractmethod
    def split_names(self) -> str:
        """A description of the names of its splits, for error messages."""

    @abstractmethod
    def has_split(self, split: str) -> bool:
        """Return whether a split can have this name."""

    @property
    def original_is_base(self) -> bool:
        """Whether the base model is also the Original."""
        return False

    @property
    def published(self) -> dict[str, float]:
        """The published scores of Retrain, by metric, with which metrics may compare."""
        return {}

    @property
    def split_settings(self) -> dict[str, Any]:
        """The settings that the stage `split` reads."""
        return {}

    def home(self, split: str) -> str:
        """Return the split whose Original and Retrain a split uses."""
        return split

    def before(self, split: str) -> str | None:
        """Return the split whose unlearned model a split starts from; None for a split that starts from the original."""
        return None

    def is_cut(self, split: str) -> bool:
        """Return whether a split is an artefact of its own, and not the data artefact itself."""
        return True

    def is_watched(self, split: str) -> bool:
        """Return whether a split can have trajectories, and therefore selections, and attacks."""
        return True

    def training_tokens(self, tokens: float, split: str) -> tuple[float, float]:
        """Return about how many tokens the forget set of a split and the whole training set have, for a source of `tokens`."""
        return tokens, 2 * tokens

    def check_split(self, study: Study, name: str, split: str, *at: str | int) -> None:
        """Raise UserError if the benchmark called `name` does not have this split."""
        if not self.has_split(split):
            raise UserError(f"{place(*at)}: {split!r} is not a split of {name}, which is of kind {self.kind}: {self.split_names}")

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Raise UserError for requests of a block that this kind of benchmark does not support; `at` is the block's place."""

    def check_variant(self, where: str, method: str, variant: Variant) -> None:
        """Raise UserError for a variant of a method that this kind of benchmark does not support."""


class SourcedBenchmark(Benchmark, ABC):
    """A benchmark whose data come from a source of the config."""

    source: Name
    """A name under `sources`."""
