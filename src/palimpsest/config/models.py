"""The shape of a study's config: the settings of each part of the science under the names that a study gives them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import AfterValidator, Discriminator, Field, GetJsonSchemaHandler, JsonValue, Tag, model_validator
from pydantic.json_schema import JsonSchemaValue

from palimpsest.attacks import list_attacks, load_attack
from palimpsest.attacks.base import Attack
from palimpsest.benchmarks import kinds
from palimpsest.benchmarks.base import Benchmark, Source
from palimpsest.benchmarks.markov.settings import ChainModel
from palimpsest.benchmarks.suites import AnySuite
from palimpsest.methods import list_methods, load_method
from palimpsest.mistakes import suggest
from palimpsest.models.settings import Packaged, Pretrained, Repository, Tiny
from palimpsest.names import DEFAULT, PLAIN, Name, checked_name, wrong_name
from palimpsest.selection.settings import SelectionRule
from palimpsest.settings import Distinct, Seed, Settings, Some
from palimpsest.training.settings import FinetuneSettings, TrainSettings, UnlearnSettings

# A positive number of at most six digits before the point.
AMOUNT = r"(?:[1-9]\d{0,5}(?:\.\d+)?|0\.\d*[1-9]\d*)"
FEWEST_SHARED = 2


def _method(value: str) -> str:
    if value not in list_methods():
        raise wrong_name(suggest("method", value, list_methods()))
    return checked_name(value)


Method = Annotated[str, AfterValidator(_method)]


class MethodSettings(UnlearnSettings, extra="allow"):
    """Settings of a method: training, loss weights, retain loss, and its own; without training, `start` and its own alone."""

    start: Literal["original", "original-half"] = "original"
    """The model that unlearns; `original-half` has learnt only the first half of the forget set (SimNPO, App. C)."""
    reference: Name = PLAIN
    """Whose log-probabilities a method reads: those of `start` (plain), or of a name under `references`."""

    # The method's own settings, which its class checks.
    __pydantic_extra__: dict[str, JsonValue]

    @property
    def own(self) -> dict[str, JsonValue]:
        """The settings that the method's class has to know."""
        return self.__pydantic_extra__

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        schema["properties"] |= _own_settings()
        schema["additionalProperties"] = False
        return schema


def _own_settings() -> dict[str, Any]:
    """Return the JSON schema of each setting that is some method's own: the bounds, and whose it is with which default."""
    found: dict[str, list[dict[str, Any]]] = {}
    users: dict[str, list[str]] = {}
    for method in list_methods():
        for name, node in load_method(method).model_json_schema()["properties"].items():
            users.setdefault(name, []).append(f"{method} (default {node['default']})")
            kind = {key: value for key, value in node.items() if key not in ("default", "description", "title")}
            if kind not in found.setdefault(name, []):
                found[name].append(kind)
    return {
        name: {
            **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds}),
            "default": None,
            "description": f"Of {', '.join(users[name])}.",
        }
        for name, kinds in found.items()
    }


GridValues = Some[float | int | str | bool]


class Reference(Settings):
    """A reference model that is not the one that unlearns (SimNPO, Sec. 4 and App. B)."""

    random_share: Annotated[float, Field(ge=1e-6, le=1)]
    """Its weights are so much of a random model's and the rest of the start model's."""
    seed: Seed = 0
    """Seed of the random model."""


class Selection(SelectionRule):
    """How the variant `chosen` of a method is found among the trials of its grid, or among the epochs of its default."""

    seeds: Some[Seed] = [0]
    """The trials are made with these seeds, and judged by their means."""
    suite: Name = "tofu"
    """The suite of kind tofu or muse that judges them."""
    benchmark: Name | None = None
    """The benchmark they are judged on; null: the one whose results are reported."""
    split: Name | None = None
    """The split they are judged on; null: the one whose results are reported."""


class Trajectories(Settings):
    """Unlearning watched: a suite after its epochs, the divergence from the start model, the gradient weights."""

    suite: Name
    """The suite of kind tofu or muse that is run."""
    epochs: Literal["all", "last"] = "all"
    """After every epoch and before the first, or after the last alone."""


class Resources(Settings):
    """What each job that works with a model asks for; no part of any result's identity."""

    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads a job (OMP_NUM_THREADS); small models run fastest with 1 and several jobs at once."""
    gpu: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs a job: one process on each."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How several GPUs train: each with the whole model (ddp), or with a share of weights, gradients and optimiser (fsdp)."""
    mem: Annotated[str, Field(pattern=rf"^{AMOUNT}(MB|MiB|GB|GiB|TB|TiB)$")] = "4GB"
    """Memory a job, with its unit; a second attempt gets twice as much, a third three times."""
    runtime: Annotated[str, Field(pattern=rf"^{AMOUNT}[mhd]$")] = "4h"
    """Time limit a job: minutes (m), hours (h) or days (d); it grows with the attempt like `mem`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.parallel == "fsdp" and self.gpu < FEWEST_SHARED:
            raise ValueError(f"parallel: fsdp: {self.gpu} GPUs share nothing: gpu: {FEWEST_SHARED} or more, or ddp")
        return self


class TinyEntry(Tiny):
    """A tiny model, trained in the workflow from its own base."""

    resources: Resources = Resources()
    """What each of its jobs asks for."""


class PretrainedEntry(Pretrained):
    """Any causal language model of the Hugging Face kind."""

    original: Repository | None = None
    """On benchmarks of kind muse, a finished original in the place of one trained here; its tokenizer is the model's."""
    retrain: Repository | None = None
    """The same for Retrain: both or neither."""
    resources: Resources = Resources()
    """What each of its jobs asks for."""


class PackagedEntry(Packaged):
    """A causal language model inside an installed Python package."""

    resources: Resources = Resources()
    """What each of its jobs asks for."""


class ChainEntry(ChainModel):
    """The model of the Markov-chain study."""

    resources: Resources = Resources()
    """What each of its jobs asks for."""


def _kind(value: Any) -> str:
    return "variants" if isinstance(value, dict) else "name"


MethodEntry = Annotated[
    Annotated[Method, Tag("name")] | Annotated[dict[Method, Some[Name]], Field(min_length=1), Tag("variants")],
    Discriminator(_kind),
]


class Block(Settings):
    """A product over its lists; the union of all blocks is what a study makes."""

    benchmark: Name
    """A name under `benchmarks`."""
    splits: Some[Name]
    """What is to be forgotten. Of kind tofu: forget01, forget05, forget10 ... (that many per cent of the authors, the last
    ones). Of kind muse and wmdp: forget; of kind muse also scale2, scale3 ... (larger forget sets) and request2, request3 ...
    (requests one after another, each made of the model that came of the one before). Of kind markov: the names of its splits."""
    models: Some[Name]
    """Names under `models`."""
    seeds: Some[Seed]
    """Each seed trains its own original, Retrain and unlearned models."""
    methods: Distinct[MethodEntry] = []
    """Methods; `{simnpo: [default, beta-4.5]}` names variants, a bare name means its default; `grid` is every trial of its grid,
    `chosen` the best of them."""
    suites: Distinct[Name] = []
    """Names under `suites`: how original, Retrain and every unlearned model are evaluated."""
    attacks: Distinct[Name] = []
    """Names under `attacks`: run on every unlearned model of this block."""
    trajectories: Trajectories | None = None
    """Watch how every method of this block unlearns; without suites and attacks, no model is kept."""

    @property
    def variants(self) -> dict[str, list[str]]:
        """The variants of each method, as listed."""
        found: dict[str, list[str]] = {}
        for entry in self.methods:
            for method, names in (entry if isinstance(entry, dict) else {entry: [DEFAULT]}).items():
                found.setdefault(method, []).extend(names)
        return found


class External(Settings):
    """A log of an evaluation that others made: its model stands in a table of the study, marked and outside competition."""

    benchmark: Name
    """A name under `benchmarks`, of kind tofu."""
    split: Name
    """With benchmark and model the block beside whose models it is shown."""
    model: Name
    """A name under `models`: that of the block, whatever model the log is of."""
    suite: Name = "tofu"
    """The suite of that block, of kind tofu, in whose table it stands."""
    log: Annotated[str, Field(min_length=1)]
    """The log: a file, or the folder that holds it, relative to the working directory. TOFU's dicts, the lists of the NPO and
    SimNPO code, open-unlearning's TOFU_EVAL.json, or a table of ours."""
    retrain: Annotated[str, Field(min_length=1)] | None = None
    """The log of its own Retrain, the reference of its forget quality; null: the study's Retrain of the block's first seed."""
    label: Annotated[str, Field(min_length=1, max_length=80)]
    """What the model is called in the table."""
    source: Annotated[str, Field(min_length=1)]
    """Where the log is from: an address, or words."""


Model = Annotated[TinyEntry | PretrainedEntry | PackagedEntry | ChainEntry, Field(discriminator="kind")]
if TYPE_CHECKING:
    AnyBenchmark = Benchmark
    AnySource = Source
else:
    _benchmarks = {kind: kinds.load_benchmark(kind) for kind in kinds.packages()}
    _sources = [kinds.load_source(source) for kind in _benchmarks for source in kinds.source_modules(kind)]
    AnyBenchmark = Annotated[reduce(or_, _benchmarks.values()), Field(discriminator="kind")]
    AnySource = Annotated[reduce(or_, _sources), Field(discriminator="kind")]


# One of those that there are here and in other packages, by its kind.
if TYPE_CHECKING:
    AnyAttack = Attack
else:
    AnyAttack = Annotated[Union[tuple(map(load_attack, list_attacks()))], Field(discriminator="kind")]  # noqa: UP007


class Config(Settings):
    """What a study runs."""

    study: Name
    """The study's name, shown in its report."""
    description: str = ""
    """One line about the study, shown in its report."""
    results: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*$")] = "results"
    """Where everything goes: a path below the working directory."""
    sources: dict[Name, AnySource]
    """The sources of data by name: the hub, a folder, a package, or the fictional world."""
    benchmarks: dict[Name, AnyBenchmark]
    """The benchmarks by name."""
    models: dict[Name, Model]
    """The models by name."""
    finetuning: dict[str, FinetuneSettings] = {}
    """How originals and Retrain are trained, by pattern `benchmark/split/model`."""
    methods: dict[str, MethodSettings] = {}
    """How methods unlearn, by pattern `benchmark/split/model/method`."""
    variants: dict[str, dict[Name, MethodSettings]] = {}
    """Named changes of a method's settings, by pattern `benchmark/split/model/method`, then name."""
    reinforcing: dict[str, TrainSettings] = {}
    """How the start model becomes the reinforced model, by `benchmark/split/model`: on the forget set, over `finetuning`."""
    references: dict[Name, Reference] = {}
    """Reference models other than the start model, by name."""
    grids: dict[str, Annotated[dict[str, GridValues], Field(min_length=1)]] = {}
    """Trials of a method by pattern `benchmark/split/model/method`: setting to values; every combination is a variant."""
    selections: dict[str, Selection] = {}
    """How the variant `chosen` is found, by pattern `benchmark/split/model/method`."""
    suites: dict[Name, AnySuite] = {}
    """The evaluation suites by name."""
    attacks: dict[Name, AnyAttack] = {}
    """The attacks by name."""
    published: dict[str, dict[str, dict[str, float]]] = {}
    """Published numbers to print beside ours: `benchmark/split/model`, then method (or original, retrain), then metric."""
    external: dict[Name, External] = {}
    """Evaluation logs that others made, by name, to stand beside our own models."""
    blocks: Annotated[list[Block], Field(min_length=1)]
    """What to run."""
