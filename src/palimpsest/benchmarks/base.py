"""What a kind of benchmark says of itself: the entry of the config with what is different about it, and its sources of data."""

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
    """A whole data set, as every source of a benchmark gives it."""

    @property
    def origin(self) -> Mapping[str, Any]:
        """Where it comes from: licence, revision, hashes of files."""

    def write(self, directory: Path) -> dict[str, int]:
        """Write one JSON-lines file per set and return the number of rows of each."""


class Source(Settings, ABC):
    """Where the data of a benchmark come from. The config imports every source: its module imports nothing slow."""

    kind: str
    sets: ClassVar[tuple[str, ...]]
    """The sets that have rows; the names are patterns."""

    @abstractmethod
    def read(self) -> Data:
        """Return the data set; raises UserError, one line, for one that cannot be read."""

    @property
    def teaches_base(self) -> bool:
        """Whether the data hold a corpus for the base of a tiny model."""
        return "base" in self.sets

    def check(self, *at: str | int) -> None:
        """Refuse a source that lacks a setting which only some studies need."""


class LocalSource(Source):
    """Data in a folder that a person may edit."""

    path: str
    holds: ClassVar[str]
    """What the folder should hold."""

    @abstractmethod
    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as they are there."""


class Block(Protocol):
    """What a benchmark sees of a block of the config."""

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
    """What a benchmark sees of a config."""

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
        """What the study runs."""


class Variant(Protocol):
    """What a benchmark sees of a method's settings."""

    @property
    def training(self) -> Any:
        """The settings of training; None for a method that trains nothing."""

    @property
    def retain_loss(self) -> str:
        """The kind of its retain loss."""

    @property
    def start(self) -> str:
        """The model that it starts from."""

    @property
    def reference(self) -> str:
        """The reference whose log-probabilities it reads."""


class Resolved(Protocol):
    """What the specs of a benchmark's own stages are made of: the settings of a study, worked out."""

    def benchmark(self, name: str) -> Any:
        """Return the settings of a benchmark."""

    def model(self, name: str) -> Any:
        """Return the settings of a model."""

    def finetuning(self, benchmark: str, split: str, model: str) -> Settings:
        """Return how original and Retrain are trained."""

    def variant(self, of: ModelId) -> Any:
        """Return the settings of a variant."""


class Benchmark(Settings, ABC):
    """An entry under `benchmarks` of the config. The class of a kind lies in `benchmark.py` of the kind's folder.

    The folder's `stages` may hold modules that do the work of a stage in the place of the general ones: each with a `Spec`, the
    function `spec` that makes it, and `work`.
    """

    kind: str
    roles: ClassVar[tuple[str, ...]] = (ORIGINAL, RETRAIN)
    """The models that every method is compared with."""
    model_kinds: ClassVar[tuple[str, ...]] = ("tiny", "pretrained", "packaged")
    suite_kinds: ClassVar[tuple[str, ...]] = ()
    takes_attacks: ClassVar[bool] = False
    takes_given: ClassVar[bool] = False
    """Whether a model may bring a finished original and Retrain."""
    takes_logs: ClassVar[bool] = False
    """Whether evaluations that others made may stand in its tables."""
    has_facts: ClassVar[bool] = False
    """Whether training can repeat facts on the world (`fact_lessons`)."""
    is_corpus: ClassVar[bool] = False
    """Whether models learn documents, which are cut into chunks, rather than questions with answers."""
    measures_itself: ClassVar[bool] = False
    """Whether its one suite, which has its name, evaluates all models and watches every method."""
    draws_anew: ClassVar[bool] = False
    """Whether each seed draws data and initial weights of its own (stage `draw`), so that there is no base."""
    retrain_split: ClassVar[str | None] = None
    """The split to which the one Retrain of all splits belongs; None: every split has its own."""

    @property
    @abstractmethod
    def split_names(self) -> str:
        """How its splits are called, for the line of an error."""

    @abstractmethod
    def has_split(self, split: str) -> bool:
        """Return whether a name can be that of a split."""

    @property
    def original_is_base(self) -> bool:
        """Whether the base of a model is its original too."""
        return False

    @property
    def split_settings(self) -> dict[str, Any]:
        """What the stage `split` reads of these settings."""
        return {}

    def home(self, split: str) -> str:
        """Return the split whose original and Retrain serve a split."""
        return split

    def before(self, split: str) -> str | None:
        """Return the split whose unlearned model a split starts from; None for a split that starts from the original."""
        return None

    def is_cut(self, split: str) -> bool:
        """Return whether a split is cut out of the data, rather than being the data itself."""
        return True

    def is_watched(self, split: str) -> bool:
        """Return whether a split can have trajectories, and so be judged by a choice."""
        return True

    def check_split(self, study: Study, name: str, split: str, *at: str | int) -> None:
        """Refuse a split that this benchmark, of that name, does not have."""
        if not self.has_split(split):
            raise UserError(f"{place(*at)}: {split!r} is no split of {name}, which is of kind {self.kind}: {self.split_names}")

    def check(self, study: Study, block: Block, *at: str | int) -> None:
        """Refuse what a block at a place in the config asks for and this kind of benchmark, and no other, does not give."""

    def check_variant(self, where: str, method: str, variant: Variant) -> None:
        """Refuse a variant of a method that this kind of benchmark cannot unlearn with."""


class SourcedBenchmark(Benchmark, ABC):
    """A benchmark whose data come from a source of the config."""

    source: Name
    """A name under `sources`."""
