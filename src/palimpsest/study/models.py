"""The schema of a study's config: the settings under each key."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import AfterValidator, Discriminator, Field, GetJsonSchemaHandler, JsonValue, Tag, create_model, model_validator
from pydantic.json_schema import JsonSchemaValue

from palimpsest.attacks import list_attacks, load_attack
from palimpsest.attacks.base import Attack
from palimpsest.benchmarks import kinds
from palimpsest.benchmarks.base import Benchmark, Source
from palimpsest.benchmarks.suites import AnySuite
from palimpsest.evaluation.asking import Alternatives
from palimpsest.evaluation.judging.settings import AnyJudge
from palimpsest.methods import list_methods, load_method
from palimpsest.mistakes import suggest
from palimpsest.models.settings import Packaged, Pretrained, Tiny, Weights
from palimpsest.names import DEFAULT, ORIGINAL, PLAIN, RETRAIN, Name, checked_name, wrong_name
from palimpsest.selection.settings import SelectionRule
from palimpsest.settings import Distinct, Option, Seed, Settings, Some
from palimpsest.training.settings import FinetuneSettings, TrainSettings, UnlearnSettings

# A positive number of at most six digits before the point.
AMOUNT = r"(?:[1-9]\d{0,5}(?:\.\d+)?|0\.\d*[1-9]\d*)"
FEWEST_SHARED = 2
# Which weights stay once nothing more of the study reads them, the fewest first.
Keep = Literal["results", "attacked", "all"]


def _method(value: str) -> str:
    if value not in list_methods():
        raise wrong_name(suggest("method", value, list_methods()))
    return checked_name(value)


Method = Annotated[str, AfterValidator(_method)]


class MethodSettings(UnlearnSettings, extra="allow"):
    """Settings of a method: training, loss weights, retain loss, and the method's own settings.

    A method that does not train takes only `start` and its own settings.
    """

    start: Literal["original", "original-half"] = "original"
    """The start model of unlearning; `original-half` has learnt only the first half of the forget set (SimNPO, App. C)."""
    reference: Name = PLAIN
    """The reference log-probabilities: `plain` takes them from `start`, a name under `references` from that reference model."""

    # The method's own settings, which its class checks.
    __pydantic_extra__: dict[str, JsonValue]

    @property
    def own(self) -> dict[str, JsonValue]:
        """The settings that the method's class declares."""
        return self.__pydantic_extra__

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(super().__get_pydantic_json_schema__(core, handler))
        schema["properties"] |= _own_settings()
        schema["additionalProperties"] = False
        return schema


def _own_settings() -> dict[str, Any]:
    """Return the JSON schema of the settings that methods declare, with bounds and each method's default."""
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
            "description": f"Setting of {', '.join(users[name])}.",
        }
        for name, kinds in found.items()
    }


GridValues = Some[float | int | str | bool]


class Reference(Settings):
    """A reference model other than the start model: a weighted mean with a random model (SimNPO, Sec. 4 and App. B)."""

    random_share: Annotated[float, Field(ge=1e-6, le=1)]
    """Weight of the random model in the mean; the start model has the rest."""
    seed: Seed = 0
    """Seed of the random model."""


class Selection(SelectionRule):
    """How the variant `selected` is found: among the trials of a grid or, without one, the epochs of the default variant."""

    seeds: Some[Seed] = [0]
    """Seeds of the trials. A run is a seed on a benchmark; a trial counts by its means over all runs."""
    suite: Name = "tofu"
    """The suite that measures the trials, of kind tofu, muse, documents, lume or rwku."""
    benchmarks: list[Name] = []
    """The benchmarks of the trials, such as two worlds that are not scored; none: the benchmark of the selected model."""
    split: Name | None = None
    """The split of the trials; null: the split of the selected model."""


class Trajectories(Settings):
    """Measurements during unlearning: a suite, the divergence from the start model, and the gradient weights."""

    suite: Name
    """The suite to run, of kind tofu, muse, documents, lume or rwku."""
    epochs: Literal["all", "last"] = "all"
    """`all`: before the first epoch and after every epoch; `last`: only after the last epoch."""


class Resources(Settings):
    """What each job that uses the model requests; a change reruns nothing."""

    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads per job (OMP_NUM_THREADS); small models run fastest with 1 thread and several jobs at once."""
    gpu: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs per job, with one process on each."""
    parallel: Literal["ddp", "fsdp", "offload"] = "ddp"
    """How GPUs train: each holds the whole model (ddp), or a shard of weights, gradients and optimiser states (fsdp);
    `offload`: like fsdp, but the shards are in the memory of the host, which also helps one GPU."""
    mem: Annotated[str, Field(pattern=rf"^{AMOUNT}(MB|MiB|GB|GiB|TB|TiB)$")] = "4GB"
    """Memory per job, with its unit; a second attempt gets twice as much, a third three times."""
    runtime: Annotated[str, Field(pattern=rf"^{AMOUNT}[mhd]$")] = "4h"
    """Time limit per job in minutes (m), hours (h) or days (d); it grows with the attempt like `mem`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.parallel == "fsdp" and self.gpu < FEWEST_SHARED:
            raise ValueError(f"parallel: fsdp: gpu is {self.gpu}, but sharding needs {FEWEST_SHARED} or more; or use ddp")
        if self.parallel == "offload" and not self.gpu:
            raise ValueError("parallel: offload: gpu is 0, so training is in the memory of the host anyway; use ddp")
        return self


class TinyEntry(Tiny):
    """A tiny model, trained from scratch in the workflow."""

    resources: Resources = Resources()
    """What each job of the model requests."""


def _retrains(value: Any) -> str:
    each = value.values() if isinstance(value, dict) else [None]
    return "by split" if all(isinstance(one, dict | Weights) for one in each) else "one"


Retrains = Annotated[
    Annotated[Weights, Tag("one")] | Annotated[dict[Name, Weights], Tag("by split")],
    Discriminator(_retrains),
]


class PretrainedEntry(Pretrained):
    """Any causal language model in Hugging Face format: a name on the Hub or a folder."""

    original: Weights | None = None
    """A finished Original to use instead of training one. Its tokenizer is the model's, or its own without `name` and
    `tokenizer`. All seeds share it: they differ only in unlearning."""
    retrain: Retrains | None = None
    """A finished Retrain, likewise, or one for each split by its name; give both or neither. Kind wmdp has none."""
    resources: Resources = Resources()
    """What each job of the model requests."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name is None and self.original is None:
            raise ValueError("name: null: the model is needed, because no original is given")
        if self.retrain is not None and self.original is None:
            raise ValueError("original: null: original and retrain go together: give both or neither")
        return self

    def given(self, role: str, split: str) -> Weights | None:
        """Return the finished Original, or the finished Retrain of a split; None if it is not given."""
        if role == RETRAIN:
            return self.retrain.get(split) if isinstance(self.retrain, dict) else self.retrain
        return self.original if role == ORIGINAL else None


class PackagedEntry(Packaged):
    """A causal language model inside an installed Python package."""

    resources: Resources = Resources()
    """What each job of the model requests."""


def _entry(model: type[Settings]) -> type[Settings]:
    """Return the entry of a kind of model that a benchmark brings."""
    resources = (Resources, Field(Resources(), description="What each job of the model requests."))
    made: type[Settings] = create_model(f"{model.__name__}Entry", __base__=model, __doc__=model.__doc__, resources=resources)
    return made


def _kind(value: Any) -> str:
    return "variants" if isinstance(value, dict) else "name"


MethodEntry = Annotated[
    Annotated[Method, Tag("name")] | Annotated[dict[Method, Some[Name]], Field(min_length=1), Tag("variants")],
    Discriminator(_kind),
]


class Block(Settings):
    """A part of the study: the product of the block's lists. The study is the union of its blocks."""

    benchmark: Name
    """A name under `benchmarks`."""
    splits: Some[Name]
    """The forget sets. Kind tofu: forget01, forget05, forget10 ... (the last 1, 5, 10 % of the authors). Kinds muse, wmdp,
    documents, lume and rwku: forget. Kind muse also: scale2, scale3 ... (larger forget sets) and request2, request3 ...
    (sequential requests, each starting from the model left by the previous one). Kind markov: the names of its splits."""
    models: Some[Name]
    """Names under `models`."""
    seeds: Some[Seed]
    """Each seed trains its own original, Retrain and unlearned models; variants with another `draw` share the first two."""
    methods: Distinct[MethodEntry] = []
    """Methods. A bare name means the default variant; `{simnpo: [default, beta-4.5]}` names variants; `grid` means all trials of
    the method's grid and `selected` the one that `selections` finds."""
    checkpoints: Distinct[Name] = []
    """Names under `checkpoints`: finished models to evaluate and attack beside the methods, in a block of one split and one
    model."""
    suites: Distinct[Name] = []
    """Names under `suites`, which evaluate Original, Retrain, every unlearned model and every checkpoint."""
    judge: Option[Name] = None
    """A name under `judges`: a model that reads the answers of the suites and says whether they tell the right answers; null:
    none."""
    attacks: Distinct[Name] = []
    """Names under `attacks`: run on every unlearned model and every checkpoint of this block."""
    trajectories: Trajectories | None = None
    """Measure every method of this block while it unlearns; without suites and attacks, no model is kept."""
    keep: Keep | None = None
    """Which weights stay once nothing more of the study reads them: `all`; `attacked`, the weights of original, of Retrain and of
    the models that attacks start from or give; `results`, none. Null: the study's `keep`. Of several blocks, the one that keeps
    most counts. Manifests, logs and tables always stay, and pruned weights are made again when something new reads them."""

    @property
    def variants(self) -> dict[str, list[str]]:
        """The variants of each method, in the order of the list."""
        found: dict[str, list[str]] = {}
        for entry in self.methods:
            for method, names in (entry if isinstance(entry, dict) else {entry: [DEFAULT]}).items():
                found.setdefault(method, []).extend(names)
        return found


class External(Settings):
    """An evaluation log made elsewhere. The report shows its model in a table, marked as imported and outside all rankings."""

    benchmark: Name
    """A name under `benchmarks`, of kind tofu."""
    split: Name
    """With `benchmark` and `model`: the block in whose table the model is shown."""
    model: Name
    """A name under `models`: the block's model name, even if the log is from another model."""
    suite: Name = "tofu"
    """The suite of that block, of kind tofu, in whose table the model is shown."""
    log: Annotated[str, Field(min_length=1)]
    """The log: a file, or the folder that contains it, relative to the working directory. The formats are TOFU's dicts, the lists
    of the NPO and SimNPO code, open-unlearning's TOFU_EVAL.json, and Palimpsest's own table."""
    retrain: Annotated[str, Field(min_length=1)] | None = None
    """The log of the Retrain that forget quality is measured against; null: the study's Retrain of the block's first seed."""
    label: Annotated[str, Field(min_length=1, max_length=80)]
    """The name of the model in the table."""
    source: Annotated[str, Field(min_length=1)]
    """Where the log comes from: an address or a description."""


class Published(Settings):
    """Numbers that one source published for one benchmark, split and model, with one kind of settings."""

    source: Annotated[str, Field(min_length=1)]
    """Who published them, and where."""
    settings: str = ""
    """The original that unlearning started from, and the settings."""
    scores: Annotated[dict[str, dict[str, float]], Field(min_length=1)]
    """The numbers, by method (or original, retrain), then by metric."""


if TYPE_CHECKING:
    Model = TinyEntry | PretrainedEntry | PackagedEntry
    AnyBenchmark = Benchmark
    AnySource = Source
else:
    _benchmarks = {kind: kinds.load_benchmark(kind) for kind in kinds.packages()}
    _sources = [kinds.load_source(source) for kind in _benchmarks for source in kinds.source_modules(kind)]
    _models = [_entry(benchmark.model) for benchmark in _benchmarks.values() if benchmark.model]
    Model = Annotated[reduce(or_, [TinyEntry, PretrainedEntry, PackagedEntry, *_models]), Field(discriminator="kind")]
    AnyBenchmark = Annotated[reduce(or_, _benchmarks.values()), Field(discriminator="kind")]
    AnySource = Annotated[reduce(or_, _sources), Field(discriminator="kind")]


# Any attack of this package or another one, distinguished by its kind.
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
    results: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*$")]
    """The folder of all results, below the working directory."""
    keep: Keep = "all"
    """Which weights stay once nothing more of the study reads them, for blocks without a `keep` of their own."""
    sources: dict[Name, AnySource] = {}
    """The sources of data by name: the hub, a folder, a package, or the fictional world."""
    benchmarks: dict[Name, AnyBenchmark] = {}
    """The benchmarks by name."""
    models: dict[Name, Model] = {}
    """The models by name."""
    finetuning: dict[str, FinetuneSettings] = {}
    """How Original and Retrain are trained, by pattern `benchmark/split/model`."""
    methods: dict[str, MethodSettings] = {}
    """How methods unlearn, by pattern `benchmark/split/model/method`."""
    variants: dict[str, dict[Name, MethodSettings]] = {}
    """Named changes to a method's settings, by pattern `benchmark/split/model/method`, then by name."""
    reinforcing: dict[str, TrainSettings] = {}
    """How the reinforced model is trained on the forget set, by pattern `benchmark/split/model`, on top of `finetuning`."""
    alternatives: dict[str, Alternatives] = {}
    """How the start model is asked for the alternatives that AltPO reads, by pattern `benchmark/split/model`."""
    checkpoints: dict[Name, Weights] = {}
    """Unlearned models that others made, by name: repositories of the Hub, folders, or LoRA adapters. A block
    lists them under `checkpoints`, and they use the prompt and the precision of its model."""
    references: dict[Name, Reference] = {}
    """Reference models other than the start model, by name."""
    grids: dict[str, Annotated[dict[str, GridValues], Field(min_length=1)]] = {}
    """Trials of a method, by pattern `benchmark/split/model/method`: lists of values; every combination is a variant."""
    selections: dict[str, Selection] = {}
    """How the variant `selected` is found, by pattern `benchmark/split/model/method`."""
    suites: dict[Name, AnySuite] = {}
    """The evaluation suites by name."""
    judges: dict[Name, AnyJudge] = {}
    """The judges of answers by name: a model of `models`, or one behind an address. Used by blocks with a `judge`."""
    attacks: dict[Name, AnyAttack] = {}
    """The attacks by name."""
    published: dict[str, Some[Published]] = {}
    """Published numbers to print next to this study's, by `benchmark/split/model`. A table's cell has the number of the first
    source that names its method; all of them are listed below the table."""
    external: dict[Name, External] = {}
    """Evaluation logs made elsewhere, by name, to show next to the study's own models."""
    blocks: Annotated[list[Block], Field(min_length=1)]
    """What to run."""
