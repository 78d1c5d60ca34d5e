"""The GPU requirements of a study before it runs: jobs, GPU-hours and memory by stage, computed from its config.

Memory is a sum of known terms. Hours are an estimate from a GPU's speed, with the assumptions in `Assumptions`. A finished job
has its measured hours instead, and the ratio of measured to estimated hours scales the estimates of the other jobs.
docs/running/scale.md states the formulas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, get_args

from palimpsest.disk import Disk, Step, simulate
from palimpsest.errors import BrokenArtefact, UserError
from palimpsest.evaluation.suite import Suite
from palimpsest.methods import load_method
from palimpsest.methods.base import Finetuned, LayerMethod, Method, Start
from palimpsest.models.settings import EIGHT_BIT, MIXED, Packaged, Tiny, UsedSettings, weight_bits
from palimpsest.names import RETRAIN
from palimpsest.provenance.canonical import canonical_json
from palimpsest.provenance.manifest import ENVIRONMENT, read_environment, read_manifest
from palimpsest.study.keeping import priority, prunable
from palimpsest.study.models import Keep, PretrainedEntry
from palimpsest.study.specs import spec_of
from palimpsest.study.stages import ALTERNATIVES, REFUSALS, STAGES, Artefacts, Node, is_remote, over, working_model
from palimpsest.study.study import Study, Variant
from palimpsest.training.settings import LoraSettings, TrainSettings

GB = 1e9
# A GPU sold as 80 GB has about 80 GiB; CUDA itself and fragmentation take a part.
USABLE = 0.95 * 2**30
# Items that the base of a tiny model learns.
BASE_ITEMS = 4000
# The tokens of all refusals together: 100, of about a dozen tokens each.
REFUSAL_TOKENS = 1200
DISK = ("disk", "GB at the peak, with checkpoints", "GB at the end")
# Bytes of activations per token and layer, as multiples of the width in 16 bits (arXiv 2205.05198, eq. 1, without the attention
# scores, which are never stored).
LAYER_BYTES = 34
# Values that share a scale in 8-bit moments.
BLOCK = 256
# Tokens of a batch that is generated on a GPU: `GPU_TOKENS` of evaluation/generation.py.
CACHED_TOKENS = 2**15


@dataclass(frozen=True)
class Size:
    """The size of a decoder; `shared_heads` is the number of attention heads that share keys and values."""

    parameters: float
    layers: int
    width: int
    vocabulary: int = 32000
    shared_heads: int = 1

    @classmethod
    def guess(cls, parameters: float) -> Size:
        """Return the usual shape for a number of parameters: 12 layers x width^2 parameters, and a width of 128 per layer."""
        layers = max(round((parameters / (12 * 128**2)) ** (1 / 3)), 1)
        return cls(parameters, layers, 128 * layers)


# By a part of the model's name, without signs between its letters and digits; fine-tuned models keep it in their names.
SIZES = {
    "llama27b": Size(6_738_415_616, 32, 4096),
    "zephyr7b": Size(7_241_732_096, 32, 4096, shared_heads=4),
    "smollm2135m": Size(134_515_008, 30, 576, 49152, shared_heads=3),
    "llama321b": Size(1_235_814_400, 16, 2048, 128256, shared_heads=4),
    "llama323b": Size(3_212_749_824, 28, 3072, 128256, shared_heads=3),
    "llama318b": Size(8_030_261_248, 32, 4096, 128256, shared_heads=4),
}


@dataclass(frozen=True)
class Assumptions:
    """The assumptions behind the hours."""

    teraflops: float = 989.0
    """Dense bf16 peak of a GPU (H100, H200)."""
    utilisation: float = 0.35
    """Fraction of the peak that training and scoring reach."""
    generated: float = 800.0
    """Tokens per second that a GPU generates."""
    item_tokens: float = 100.0
    """Tokens of a question with its answer; a multiple-choice question has four times as many."""
    start: float = 120.0
    """Seconds to start a job: imports, and loading the weights."""


@dataclass(frozen=True)
class Work:
    """The work of a job: floating-point operations and generated tokens."""

    operations: float = 0.0
    generated: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.generated + other.generated)

    def __mul__(self, times: float) -> Work:
        return Work(self.operations * times, self.generated * times)

    def hours(self, assumed: Assumptions) -> float:
        """Return the GPU-hours, which do not depend on the number of GPUs."""
        scored = self.operations / (assumed.teraflops * 1e12 * assumed.utilisation)
        return (scored + self.generated / assumed.generated + assumed.start) / 3600


@dataclass(frozen=True)
class Memory:
    """Bytes on a GPU: the part that FSDP shards over the GPUs of a job, and the part that each GPU holds.

    Each GPU first loads the whole model (`loaded`). FSDP gathers its weights for a step or an evaluation (`gathered`); without
    FSDP, autocast may keep a 16-bit copy of them (`cast`). A watched training needs other memory between its epochs (`between`).
    `checkpoint` is the size of a checkpoint on disk, which has neither gradients nor the `frozen` weights of the model.
    """

    shared: float = 0.0
    each: float = 0.0
    loaded: float = 0.0
    gathered: float = 0.0
    cast: float = 0.0
    checkpoint: float = 0.0
    frozen: float = 0.0
    between: Memory | None = None

    def on(self, gpus: int) -> float:
        """Return the bytes per GPU with this number of GPUs."""
        own = self.shared / gpus + self.each + (self.gathered if gpus > 1 else self.cast)
        return max(own, self.loaded, self.between.on(gpus) if self.between else 0)

    def offloaded(self) -> float:
        """Return the bytes per GPU if the shared part is in the memory of the host."""
        return max(self.each + self.gathered, self.loaded, self.between.offloaded() if self.between else 0)


class Measured(NamedTuple):
    """The GPU-hours that a finished job took, and its peak memory on a GPU in bytes."""

    hours: float
    peak: float


@dataclass(frozen=True)
class Row:
    """Jobs of a stage with the same contents in memory; some may have been measured."""

    stage: str
    holds: str
    jobs: int
    hours: float
    memory: Memory
    measured: Sequence[Measured] = ()

    def gpus(self, gigabytes: float) -> int:
        """Return the number of GPUs that a job needs, 1 or a power of two under FSDP; 0 if no number is enough."""
        numbers = (2**power for power in range(7))
        return next((gpus for gpus in numbers if self.memory.on(gpus) <= gigabytes * USABLE), 0)


def weight_bytes(size: Size, precision: str, *, frozen: bool = False) -> float:
    """Return the bytes of a model's weights."""
    return size.parameters * weight_bits(precision, frozen=frozen) / 8


def cache_bytes(size: Size, precision: str) -> float:
    """Return the bytes of the keys and values of a batch in generation."""
    return CACHED_TOKENS * 2 * size.layers * size.width / size.shared_heads * (4 if precision == "fp32" else 2)


def training_bytes(size: Size, precision: str, trained: float, optimizer: str = "adamw") -> float:
    """Return the bytes of weights, gradients and AdamW's two moments: 16 per trained parameter in fp32.

    A moment in 8 bits takes one byte, and each block an fp32 scale.
    """
    each = weight_bits(precision) / 8
    moment = 1 + 4 / BLOCK if optimizer == EIGHT_BIT else each
    return weight_bytes(size, precision) + trained * (each + 2 * moment)


def rounding_bytes(size: Size) -> float:
    """Return the bytes of the largest weight in fp32 and of its gradient or random bits, which round a bf16 weight at random."""
    return 8 * size.width * size.vocabulary


def activation_bytes(size: Size, precision: str, tokens: int, *, checkpointing: bool) -> float:
    """Return a bound on the activations of a forward pass, including its logits and their gradient."""
    wide = 2 if precision == "fp32" else 1
    layer = tokens * size.width * LAYER_BYTES * wide
    kept = size.layers * tokens * size.width * 2 * wide + layer if checkpointing else size.layers * layer
    return kept + 3 * 4 * tokens * size.vocabulary


def training_memory(size: Size, used: UsedSettings, tokens: int, *, partly: bool = False, kept: int = 0) -> Memory:
    """Return the memory of training with this many tokens per pass; `partly` means the training of three layers (RMU).

    `kept` is the number of copies of the trained weights, or gradients of them, that a step keeps besides its gradient.
    """
    # Their down-projections, a quarter of a layer each.
    trained = adapter_parameters(size, used.lora) if used.lora else size.parameters * (0.75 / size.layers if partly else 1)
    activations = activation_bytes(size, used.precision, tokens, checkpointing=used.gradient_checkpointing)
    if used.optimizer == EIGHT_BIT and used.precision == "bf16" and not (used.lora or partly):
        # Activations are gone when the weights are updated.
        activations = max(activations, rounding_bytes(size))
    gathered = weight_bytes(size, used.precision, frozen=True)
    # Autocast keeps its copy of the weights until the backward pass has read it, and with checkpointing none.
    cast = gathered if used.precision == MIXED and not used.gradient_checkpointing else 0
    loaded = weight_bytes(size, used.precision)
    # Adapters are in fp32 in any precision.
    precision = "fp32" if used.lora else used.precision
    held = training_bytes(replace(size, parameters=trained), precision, trained, used.optimizer)
    gradient = trained * weight_bits(precision) / 8
    checkpoint = held - gradient
    frozen = loaded if used.lora else loaded - weight_bytes(replace(size, parameters=trained), precision)
    held += frozen + kept * gradient
    # 8-bit moments cannot be sharded.
    shared = 0.0 if used.optimizer == EIGHT_BIT else held
    return Memory(shared, held - shared + activations, loaded, gathered, cast, checkpoint, frozen)


def adapter_parameters(size: Size, lora: LoraSettings) -> float:
    """Return the approximate number of adapter parameters: four layers of width x width, three of width x 2.7 widths."""
    return (len(lora.layers) if lora.layers else size.layers) * lora.rank * size.width * (4 * 2 + 3 * 3.7)


def train_operations(size: Size, used: UsedSettings, tokens: float) -> float:
    """Return operations per token: 6 per parameter, 4 if only adapters are trained, 2 more if activations are recomputed."""
    return size.parameters * tokens * ((4 if used.lora else 6) + (2 if used.gradient_checkpointing else 0))


def forward_operations(size: Size, tokens: float) -> float:
    """Return operations per token: 2 per parameter."""
    return 2 * size.parameters * tokens


class Plan:
    """The plan of a study."""

    def __init__(self, study: Study, *, parameters: float | None = None, assumed: Assumptions | None = None) -> None:
        self._artefacts = Artefacts(study)
        self._study, self._parameters, self._assumed = study, parameters, assumed or Assumptions()

    def rows(self) -> list[Row]:
        """Return the requirements of the stages that use a model, in pipeline order; Markov chains are left out."""
        found = sorted((self._row(node) for node in self._nodes()), key=lambda row: (list(STAGES).index(row.stage), row.holds))
        usual = _ratio(found, 1.0)
        return [_sum(list(rows), usual) for _, rows in groupby(found, key=lambda row: (row.stage, row.holds))]

    def disk(self, gpus: int, keep: Keep | None = None) -> Disk:
        """Return the disk that a run takes; `keep` counts in place of the config's."""
        steps = [self._step(node, keep) for node in self._artefacts.nodes.values()]
        return simulate(steps, gpus, prunable(self._artefacts, keep))

    def _step(self, node: Node, keep: Keep | None) -> Step:
        """Return the job of an artefact for the simulation of a run; what computes with no model takes no time."""
        row, inputs = STAGES[node.stage], [given.path for given in self._artefacts.given(node).values()]
        if not (row.has_weights or row.is_measured) or self._study.benchmark(node.of.benchmark).measures_itself:
            return Step(node.path, inputs)
        model = self._study.config.models[working_model(self._study, node)]
        is_fetched = node.stage == "given" or (node.stage == "base" and not isinstance(model, Tiny))
        step = Step(
            node.path,
            inputs,
            reads=[given.path for given in self._artefacts.weights(node)],
            weights=self._kept(node, is_fetched=is_fetched) if self._leaves_weights(node) else 0.0,
            priority=priority(self._artefacts, node, keep),
        )
        if is_fetched:
            return step
        job, gpus = self._row(node), max(model.resources.gpu, 1)
        # A checkpoint is deleted when the next one is complete.
        return replace(step, scratch=2 * job.memory.checkpoint, gpus=gpus, hours=job.hours / gpus)

    def _leaves_weights(self, node: Node) -> bool:
        if node.stage == "unlearn":
            return self._study.training(node.of).model
        if node.stage == "attack":
            return self._study.config.attacks[node.of.attack].keep_model
        return STAGES[node.stage].has_weights

    def _kept(self, node: Node, *, is_fetched: bool) -> float:
        """Return the bytes of a model on disk: all weights, or its adapters, which are in fp32 in any precision."""
        size, used = self.size(node.of.model), self._used(node.of.model)
        if used.lora and over(self._study, node):
            return 4 * adapter_parameters(size, used.lora)
        # Models that others made are in 16 bits.
        return weight_bytes(size, used.precision, frozen=is_fetched)

    def size(self, model: str) -> Size:
        """Return the size of a model; raises UserError if neither the table nor the user gives it."""
        entry = self._study.config.models[model]
        if self._parameters:
            return Size.guess(self._parameters)
        if isinstance(entry, Tiny):
            shape = entry.architecture
            layer = 4 * shape.width**2 + 3 * shape.width * (8 * shape.width // 3) + 2 * shape.width
            total = shape.vocabulary * shape.width + shape.layers * layer + shape.width
            return Size(total, shape.layers, shape.width, shape.vocabulary)
        known = entry.original if isinstance(entry, PretrainedEntry) and entry.name is None else entry
        name = entry.file if isinstance(entry, Packaged) else str(getattr(known, "name", ""))
        letters = re.sub(r"[^a-z0-9]", "", name.lower())
        size = next((size for part, size in SIZES.items() if part in letters), None)
        if size is None:
            raise UserError(f"models: {model}: the size of {name} is not known here: give --parameters")
        return size

    def _nodes(self) -> list[Node]:
        return [node for node in self._artefacts.measured() if not self._study.benchmark(node.of.benchmark).measures_itself]

    def _row(self, node: Node) -> Row:
        holds, memory, work = getattr(self, f"_{node.stage}")(node)
        return Row(node.stage, holds, 1, work.hours(self._assumed), memory, self._measured(node))

    def _measured(self, node: Node) -> Sequence[Measured]:
        """Return what a finished job with today's settings measured on a GPU; nothing for a damaged or older file."""
        manifest = Path(self._study.path(node.path))
        try:
            found = read_environment(manifest.with_name(ENVIRONMENT))
            if found is None or found["device"] == "cpu":
                return ()
            if canonical_json(read_manifest(manifest)["spec"]) != spec_of(self._study, node):
                return ()
            return (Measured(found["seconds"] * found["processes"] / 3600, found["peak_gpu_memory_gb"] * 2**30),)
        except (BrokenArtefact, KeyError, TypeError):
            return ()

    def _finetune(self, node: Node) -> tuple[str, Memory, Work]:
        training = self._study.finetuning(*node.of.place)
        forget, everything = self._tokens(node)
        tokens = everything - (forget if node.of.method == RETRAIN else 0)
        return self._training(node, training, tokens * training.epochs)

    def _reinforce(self, node: Node) -> tuple[str, Memory, Work]:
        training = self._study.reinforcing(*node.of.place)
        return self._training(node, training, self._tokens(node)[0] * training.epochs)

    def _base(self, node: Node) -> tuple[str, Memory, Work]:
        entry = self._study.config.models[node.of.model]
        assert isinstance(entry, Tiny)
        return self._training(node, entry.base_training, BASE_ITEMS * self._assumed.item_tokens * entry.base_training.epochs)

    def _alternatives(self, node: Node) -> tuple[str, Memory, Work]:
        asking, forget = self._study.alternatives(*node.of.place), self._tokens(node)[0]
        read, written = asking.number * forget, asking.number * forget / self._item(node) * asking.max_new_tokens
        work = Work(forward_operations(self.size(node.of.model), read), written)
        return "weights", self._read(node, self._cache(node, work)), work

    def _reference(self, node: Node) -> tuple[str, Memory, Work]:
        tokens = self._tokens(node)[0]
        if node.name.endswith(REFUSALS):
            tokens *= 1 + REFUSAL_TOKENS / self._item(node)
        elif node.name.endswith(ALTERNATIVES):
            tokens *= 1 + self._study.alternatives(*node.of.place).number
        return "weights", self._read(node), Work(forward_operations(self.size(node.of.model), tokens))

    def _evaluate(self, node: Node) -> tuple[str, Memory, Work]:
        suite = self._study.config.suites[node.name]
        work = self._suite(node, suite)
        return "weights", self._read(node, self._cache(node, work) + len(suite.models) * self._frozen(node)), work

    def _judge(self, node: Node) -> tuple[str, Memory, Work]:
        """Return the work of a judge on this machine: a prompt is about twice as long as the longest answer in it."""
        if is_remote(self._study, node):
            return "nothing", Memory(), Work()
        judge = replace(node, of=replace(node.of, model=working_model(self._study, node)))
        suite = self._study.config.suites[node.name]
        read = suite.reading(*self._tokens(node), self._assumed.item_tokens).generated
        work = Work(forward_operations(self.size(judge.of.model), 2 * read), generated=1.0)
        return "weights of the judge", self._read(judge, self._cache(judge, work)), work

    def _attack(self, node: Node) -> tuple[str, Memory, Work]:
        attack, (forget, everything) = self._study.config.attacks[node.of.attack], self._tokens(node)
        suite = self._study.measured_by(node.of)
        losses = Work(forward_operations(self.size(node.of.model), forget))
        measured = self._suite(node, self._study.config.suites[suite]) if suite else losses
        each = self._frozen(node) + self._cache(node, measured)
        if attack.trains is None:
            return "weights", Memory(each=each), measured * (attack.number_of_draws + 1)
        training, share = attack.trains
        # The size of sets about something else is unknown: they are taken to be as large as the forget set.
        held = everything - forget if attack.has == "retain" else forget
        holds, memory, work = self._training(node, training, attack.number_of_draws * share * held * training.epochs)
        memory = replace(memory, between=self._between(node, memory, measured)) if suite else memory
        return holds, memory, work + measured * (attack.number_of_draws * training.epochs + 1)

    def _unlearn(self, node: Node) -> tuple[str, Memory, Work]:
        variant, method = self._variant(node), load_method(node.of.method)
        if variant.training is None:
            return "edited weights, on the CPU", Memory(), Work()
        watched = self._study.training(node.of).trajectory
        # With LoRA, the start model is the same one without adapters.
        has_start = watched is not None or variant.retain_loss == "kl" or method.needs(Start)
        frozen = has_start and not self._used(node.of.model).lora
        holds, memory, work = self._unlearning(node, variant, method, frozen=frozen)
        if watched is None:
            return holds, memory, work
        looks = variant.training.last_epoch + 1 if watched.epochs == "all" else 1
        suite = self._suite(node, self._study.config.suites[watched.suite])
        between = self._between(node, memory, suite, self._copies(method, frozen=frozen))
        return f"{holds}, watched", replace(memory, between=between), work + suite * looks

    def _between(self, node: Node, memory: Memory, suite: Work, copies: int = 0) -> Memory:
        """Return the memory of a training that a suite measures between its epochs, with `copies` frozen models."""
        precision, frozen_bytes = self._used(node.of.model).precision, self._frozen(node)
        each = copies * frozen_bytes + self._cache(node, suite)
        # There are no gradients between epochs.
        held = memory.checkpoint + memory.frozen
        cast = frozen_bytes if precision == MIXED else 0
        shared = held if memory.shared else 0.0
        return Memory(shared, held - shared + each, gathered=frozen_bytes, cast=cast)

    def _unlearning(self, node: Node, variant: Variant, method: type[Method], *, frozen: bool) -> tuple[str, Memory, Work]:
        training, forget = variant.training, self._tokens(node)[0]
        assert training
        losses, sharp = 1 if training.retain_loss == "none" else 2, int(training.sharpness is not None)
        tokens, sides = forget * training.last_epoch, losses + sharp
        # The gradient of each loss, and the weights before they are moved.
        kept = losses + sharp if sharp or training.gradients == "projected" else 0
        partly = issubclass(method, LayerMethod)
        holds, memory, work = self._training(node, training, tokens * sides, sides=sides, partly=partly, kept=kept)
        size, copies = self.size(node.of.model), self._copies(method, frozen=frozen)
        each, passes = copies * self._frozen(node), tokens * losses
        text = f"{holds}, {copies} frozen" if copies else holds
        return text, replace(memory, each=memory.each + each), work + Work(copies * forward_operations(size, passes / 2))

    def _training(
        self, node: Node, training: TrainSettings, tokens: float, *, sides: int = 1, partly: bool = False, kept: int = 0
    ) -> tuple[str, Memory, Work]:
        used, size = self._used(node.of.model), self.size(node.of.model)
        if training.max_steps:
            tokens = min(tokens, training.max_steps * training.batch_size * self._item(node) * sides)
        holds = "training of adapters" if used.lora else "training of three layers" if partly else "training"
        memory = training_memory(size, used, training.tokens_per_pass, partly=partly, kept=kept)
        return holds, memory, Work(train_operations(size, used, tokens))

    def _frozen(self, node: Node) -> float:
        """Return the bytes of a model that is not trained."""
        return weight_bytes(self.size(node.of.model), self._used(node.of.model).precision, frozen=True)

    def _read(self, node: Node, cache: float = 0.0) -> Memory:
        """Return the memory of a model that is not trained; adapters are merged in the precision of training."""
        used = self._used(node.of.model)
        loaded = weight_bytes(self.size(node.of.model), used.precision) if used.lora else 0
        return Memory(each=self._frozen(node) + cache, loaded=loaded)

    def _cache(self, node: Node, work: Work) -> float:
        return cache_bytes(self.size(node.of.model), self._used(node.of.model).precision) if work.generated else 0

    @staticmethod
    def _copies(method: type[Method], *, frozen: bool) -> int:
        """Return the number of frozen models in memory."""
        return int(frozen) + int(method.needs(Finetuned))

    def _suite(self, node: Node, suite: Suite) -> Work:
        reading = suite.reading(*self._tokens(node), self._assumed.item_tokens)
        return Work(forward_operations(self.size(node.of.model), reading.scored), reading.generated)

    def _tokens(self, node: Node) -> tuple[float, float]:
        """Return the tokens of the forget set, and of the original's training set."""
        tokens = self._study.source(node.of.benchmark).tokens(self._item(node))
        return self._study.benchmark(node.of.benchmark).training_tokens(tokens, node.of.split)

    def _item(self, node: Node) -> float:
        """Return the tokens of one item of a batch: a question with its answer, or a chunk of a text."""
        used = self._used(node.of.model)
        return used.chunk_tokens if self._study.benchmark(node.of.benchmark).is_corpus else self._assumed.item_tokens

    def _variant(self, node: Node) -> Variant:
        return self._study.variant(node.of)

    def _used(self, model: str) -> UsedSettings:
        entry = self._study.config.models[model]
        assert isinstance(entry, UsedSettings)
        return entry


def _ratio(jobs: Sequence[Row], usual: float) -> float:
    """Return the measured hours of the finished jobs divided by their estimate; `usual` if none is finished."""
    finished = [job for job in jobs if job.measured]
    return sum(job.measured[0].hours for job in finished) / sum(job.hours for job in finished) if finished else usual


def _sum(jobs: list[Row], usual: float) -> Row:
    largest = max((job.memory for job in jobs), key=lambda memory: memory.on(1))
    ratio = _ratio(jobs, usual)
    hours = sum(job.measured[0].hours if job.measured else ratio * job.hours for job in jobs)
    measured = [each for job in jobs for each in job.measured]
    return replace(jobs[0], jobs=len(jobs), hours=hours, memory=largest, measured=measured)


def format_plan(plan: Plan, gpus: int, sizes: Sequence[float]) -> str:
    """Return the plan as a Markdown table with its duration on `gpus` GPUs; `sizes` are GPU memory sizes in GB."""
    rows = plan.rows()
    finished = sum(len(row.measured) for row in rows)
    per_job = [f"GPUs ({size:g} GB) per job" for size in sizes]
    numbers = ["jobs", "GPU-hours", "GB on one GPU", "GB with `offload`: GPU, host", *per_job]
    numbers += ["measured: jobs, GB on a GPU"] if finished else []
    lines = [["stage", "holds", *numbers], ["---", "---", *["---:"] * len(numbers)]]
    for row in rows:
        memory = row.memory
        offloaded = f"{memory.offloaded() / GB:.1f}, {memory.shared / GB:.1f}" if memory.shared else ""
        needed = [_needed(row.gpus(size)) for size in sizes]
        line = [row.stage, row.holds, str(row.jobs), _hours(row.hours), f"{memory.on(1) / GB:.1f}", offloaded, *needed]
        if finished:
            peak = max((each.peak for each in row.measured), default=0.0)
            line.append(f"{len(row.measured)}, {peak / GB:.1f}" if row.measured else "")
        lines.append(line)
    hours = sum(row.hours for row in rows)
    jobs = sum(row.jobs for row in rows)
    said = f"{jobs} jobs, {_hours(hours)} GPU-hours: about {_hours(hours / gpus)} h on {gpus} GPUs at full utilisation."
    scaled = ""
    if finished:
        scaled = (
            f" {finished} jobs are finished; the table has their measured hours, and scales the other jobs by the same ratio."
        )
    disk = [(keep, plan.disk(gpus, keep)) for keep in (None, *reversed(get_args(Keep)))]
    told = [[f"`keep: {keep}`" if keep else "this study", *(f"{size / GB:,.0f}" for size in of)] for keep, of in disk]
    tables = ["\n".join(map(_line, table)) for table in (lines, [DISK, ["---", "---:", "---:"], *told])]
    return "\n\n".join([tables[0], f"{said}{scaled}", tables[1]])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _needed(gpus: int) -> str:
    return {0: "none is enough", 1: "1"}.get(gpus, f"{gpus}, `fsdp`")


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}"
