"""What a block may ask of a benchmark, by its kind: splits, models, methods, suites, attacks and trajectories."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from palimpsest.benchmarks.suites import SETTINGS
from palimpsest.config.messages import place, suggest
from palimpsest.config.models import (
    CHOSEN,
    FORGET,
    GRID,
    ORIGINAL,
    PLAIN,
    RETRAIN,
    Benchmark,
    Block,
    ChainEntry,
    Config,
    External,
    MarkovBenchmark,
    Model,
    MuseBenchmark,
    Selection,
    TofuBenchmark,
    WmdpBenchmark,
)
from palimpsest.config.patterns import ANY
from palimpsest.config.texts import is_split, number
from palimpsest.data.settings import AustenSource, TofuSources, WmdpHubSource, WorldSource
from palimpsest.data.sources import SETS
from palimpsest.data.splits import count_forgotten, is_forget_share
from palimpsest.data.tofu import AUTHORS
from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.evaluation.suite import Suite
from palimpsest.models.settings import Tiny
from palimpsest.objectives import load_objective
from palimpsest.training.settings import UnlearnSettings

# By kind of benchmark: the kinds of its suites and of its sources, and whose suite says how far a model has forgotten.
SUITES = {"tofu": ("tofu", "lm-eval"), "muse": ("muse", "lm-eval"), "wmdp": ("lm-eval",)}
SOURCES = {
    "tofu": ("world", "folder", "hub"),
    "muse": ("muse-world", "muse-folder", "muse-hub", "austen"),
    "wmdp": ("wmdp-world", "wmdp-folder", "wmdp-hub"),
}
JUDGED = {kind: [aim.name for aim in suite.aims] for kind, suite in SETTINGS.items() if suite.aims}
WITHOUT_BASE = ("muse-folder", "muse-hub", "wmdp-folder", "wmdp-hub")
# A loss with less weight is none.
FAINTEST = 1e-9
# What a retain weight is that nobody has given.
NO_WEIGHT = UnlearnSettings.model_fields["retain_weight"].default
# How the splits of a kind are called; those of kind markov have names of their own.
SPLITS = {
    "tofu": "forgetNN, NN from 01 to 99",
    "muse": "forget, scale2, scale3 ..., request2, request3 ...",
    "wmdp": FORGET,
}


def check_block(config: Config, block: Block, *at: str | int) -> None:
    """Raise UserError with one line for what a block asks and its benchmark does not give."""
    for method, variants in block.variants.items():
        if twice := next((name for name in variants if variants.count(name) > 1), None):
            raise UserError(f"{place(*at, 'methods')}: {method}: variant {twice!r} is asked for twice")
    for key in ("attacks", "trajectories"):
        if getattr(block, key) and not block.methods:
            raise UserError(f"{place(*at, key)}: the block has no methods, and so no unlearned model that this is for")
    known("benchmark", [block.benchmark], config.benchmarks, *at, "benchmark")
    known("model", block.models, config.models, *at, "models")
    match benchmark := config.benchmarks[block.benchmark]:
        case MarkovBenchmark():
            _check_chains(config, block, benchmark, *at)
        case TofuBenchmark():
            _check_questions(config, block, benchmark, *at)
        case _:
            _check_texts(config, block, benchmark, *at)


def _check_questions(config: Config, block: Block, benchmark: TofuBenchmark, *at: str | int) -> None:
    _check_measured(config, block, benchmark, *at)
    given = next((name for name in block.models if getattr(config.models[name], "original", None)), None)
    if given is not None:
        raise UserError(
            f"{place('models', given, 'original')}: {block.benchmark} is of kind tofu, where a split has its own: null"
        )
    known("attack", block.attacks, config.attacks, *at, "attacks")
    if block.attacks and not any(config.suites[name].kind == "tofu" for name in block.suites):
        raise UserError(f"{place(*at, 'attacks')}: attacks are judged by a suite of kind tofu: add one to suites")
    for split in block.splits:
        check_split(config, block.benchmark, split, *at, "splits")
    source = config.sources[benchmark.source]
    assert isinstance(source, TofuSources)
    if source.base_authors == 0 and any(config.models[name].kind == "tiny" for name in block.models):
        where = place("sources", benchmark.source, "base_authors")
        raise UserError(f"{where}: 0, but the base of a tiny model is trained on some: at least 1")


def check_split(config: Config, benchmark: str, split: str, *keys: str | int) -> None:
    """Refuse a split that the data lacks; in TOFU only the last tenth can be forgotten, and the base lies right before it."""
    settings = config.benchmarks[benchmark]
    if not isinstance(settings, TofuBenchmark):
        raise UserError(f"{place(*keys)}: {benchmark} is of kind {settings.kind}: kind tofu is wanted")
    source = config.sources[settings.source]
    assert isinstance(source, TofuSources)
    retained = settings.split.retain_authors or 1
    world = isinstance(source, WorldSource)
    authors = source.authors if isinstance(source, WorldSource) else AUTHORS
    try:
        forgotten = count_forgotten(split, authors)
    except UserError as error:
        raise UserError(f"{place(*keys)}: {error}") from None
    if not world and forgotten > AUTHORS // 10:
        raise UserError(f"{place(*keys)}: {split}: in TOFU 10 % of the authors can be forgotten at most")
    free = authors - (forgotten if world else AUTHORS // 10 + source.base_authors)
    if retained > free:
        raise UserError(f"{place(*keys)}: {split} of {authors} authors leaves {free} to retain, {retained} are asked for")


def _check_measured(
    config: Config, block: Block, benchmark: TofuBenchmark | MuseBenchmark | WmdpBenchmark, *at: str | int
) -> None:
    """Refuse what is not of the block's benchmark: models of chains, suites and sources of other kinds."""
    known("model", block.models, [name for name, model in config.models.items() if not _is_chain(model)], *at, "models")
    known("suite", block.suites, config.suites, *at, "suites")
    for name in block.suites:
        if config.suites[name].kind not in SUITES[benchmark.kind]:
            allowed = " or ".join(SUITES[benchmark.kind])
            raise UserError(f"{place(*at, 'suites')}: {name!r} is of kind {config.suites[name].kind}: kind {allowed} is wanted")
    if block.trajectories:
        _judges(config, block.benchmark, block.trajectories.suite, *at, "trajectories", "suite")
    for method, variants in block.variants.items():
        if block.trajectories or {GRID, CHOSEN} & {*variants}:
            check_epochs(method, *at, "methods")
    known("source", [benchmark.source], config.sources, "benchmarks", block.benchmark, "source")
    kind = config.sources[benchmark.source].kind
    if kind not in SOURCES[benchmark.kind]:
        allowed = ", ".join(SOURCES[benchmark.kind])
        where = place("benchmarks", block.benchmark, "source")
        raise UserError(f"{where}: {benchmark.source!r} is of kind {kind}; for kind {benchmark.kind} allowed: {allowed}")
    for name in block.suites:
        _check_data_files(name, config.suites[name], benchmark.source, kind)


def _check_data_files(name: str, suite: Suite, source: str, kind: str) -> None:
    """Refuse a task that reads a set which the data do not have, or have without rows."""
    files = [f"{name}.jsonl" for name in SETS[kind]]
    for file in sorted(suite.data_files()) if isinstance(suite, LmEvalSuite) else ():
        if not any(fnmatch(file, there) or fnmatch(there, file) for there in files):
            has = f"source {source!r} is of kind {kind} and gives {', '.join(files)}"
            raise UserError(f"{place('suites', name, 'tasks')}: a task reads {{data}}/{file}; {has}")


def _check_texts(config: Config, block: Block, benchmark: MuseBenchmark | WmdpBenchmark, *at: str | int) -> None:
    _check_measured(config, block, benchmark, *at)
    if block.attacks:
        raise UserError(f"{place(*at, 'attacks')}: {block.benchmark} is of kind {benchmark.kind}, which takes none")
    for method in block.variants:
        if load_objective(method).needs_refusals:
            raise UserError(f"{place(*at, 'methods')}: {method} answers questions with refusals, and texts ask none")
    source = config.sources[benchmark.source]
    if isinstance(source, WmdpHubSource) and source.subject == "bio" and source.gated_revision is None:
        how = f"ask for access on the page of the data set {source.gated_repo}, and give the commit that is shown there"
        raise UserError(f"{place('sources', benchmark.source, 'gated_revision')}: missing: {how}")
    for split in block.splits:
        check_text_split(config, block.benchmark, split, *at, "splits")
        if block.trajectories and split != FORGET:
            raise UserError(f"{place(*at, 'trajectories')}: of texts only split {FORGET} is watched, not {split}")
    for name in block.models:
        model = config.models[name]
        roles = [getattr(model, role, None) for role in (ORIGINAL, RETRAIN)]
        if any(roles) and (benchmark.kind != "muse" or not all(roles)):
            raise UserError(f"{place('models', name, ORIGINAL)}: goes with {RETRAIN}, and with benchmarks of kind muse alone")
        if model.kind == "tiny" and (source.kind in WITHOUT_BASE or (isinstance(source, AustenSource) and not source.unused)):
            where = place(*at, "models")
            raise UserError(f"{where}: {name} is tiny, and source {benchmark.source!r} has nothing that its base could learn")
        if isinstance(model, Tiny) and model.piece_tokens > model.architecture.context:
            where, context = place("models", name, "piece_tokens"), model.architecture.context
            raise UserError(f"{where}: {model.piece_tokens}: its architecture has a context of {context} tokens")
    if isinstance(benchmark, WmdpBenchmark):
        _check_hazards(config, block, benchmark, *at)


def _check_hazards(config: Config, block: Block, benchmark: WmdpBenchmark, *at: str | int) -> None:
    """Refuse an original that nothing can be taught, and suites that do not ask the tasks of the benchmark."""
    if benchmark.original == "finetuned" and "original" not in SETS[config.sources[benchmark.source].kind]:
        where = place("benchmarks", block.benchmark, "original")
        raise UserError(f"{where}: finetuned: source {benchmark.source!r} has no lessons: base")
    listed = {name for other in config.blocks if other.benchmark == block.benchmark for name in other.suites}
    suites = [suite for name in listed if isinstance(suite := config.suites.get(name), LmEvalSuite)]
    asked = [name for suite in suites for name in suite.names]
    # A stock task may be a group of others, whose names lm-eval alone knows.
    if all(suite.is_local for suite in suites) and suites:
        known("task", [benchmark.forget_task], asked, "benchmarks", block.benchmark, "forget_task")
        known("task", [benchmark.utility_task], asked, "benchmarks", block.benchmark, "utility_task")


def check_pattern(config: Config, benchmark: str, split: str, *keys: str | int) -> None:
    """Refuse a segment of a pattern that can be no split of its benchmark, or of any where it names none."""
    names = list(config.benchmarks) if benchmark == ANY else [benchmark]
    if split == ANY or any(_can_be_split(config.benchmarks[name], split) for name in names):
        return
    used = [used for block in config.blocks if block.benchmark in names for used in block.splits]
    near = difflib.get_close_matches(split, used, n=1)
    guess = f"; did you mean {near[0]}? " if near else "; "
    allowed = " or ".join(dict.fromkeys(_describe_splits(config.benchmarks[name]) for name in names))
    raise UserError(f"{place(*keys)}: {split!r} is no split{guess}allowed: {allowed}, or * for any")


def _can_be_split(benchmark: Benchmark, split: str) -> bool:
    match benchmark:
        case MarkovBenchmark():
            return split in benchmark.splits
        case TofuBenchmark():
            return is_forget_share(split)
        case WmdpBenchmark():
            return split == FORGET
        case _:
            return is_split(split)


def _describe_splits(benchmark: Benchmark) -> str:
    return ", ".join(benchmark.splits) if isinstance(benchmark, MarkovBenchmark) else SPLITS[benchmark.kind]


def check_text_split(config: Config, benchmark: str, split: str, *keys: str | int) -> None:
    """Refuse a split that a benchmark of texts has not."""
    settings = config.benchmarks[benchmark]
    assert isinstance(settings, MuseBenchmark | WmdpBenchmark)
    if not is_split(split):
        raise UserError(f"{place(*keys)}: {split!r} is no split of texts: {SPLITS['muse']}")
    if settings.kind == "wmdp" and split != FORGET:
        raise UserError(f"{place(*keys)}: {split}: {benchmark} is of kind wmdp, whose one split is {FORGET}")
    parts = getattr(config.sources[settings.source], "parts", None) if settings.kind == "muse" else None
    if parts is not None and number(split) > parts:
        raise UserError(f"{place(*keys)}: {split}: source {settings.source!r} has {parts} parts")


def check_text_variant(where: str, start: str) -> None:
    """Refuse a start that texts do not have."""
    if start != ORIGINAL:
        raise UserError(f"{where}: start: {start}: of texts it is {ORIGINAL}")


def _check_chains(config: Config, block: Block, benchmark: MarkovBenchmark, *at: str | int) -> None:
    known("model of kind gpt2", block.models, [name for name, model in config.models.items() if _is_chain(model)], *at, "models")
    known("split", block.splits, benchmark.splits, *at, "splits")
    for name in ("suites", "attacks", "trajectories"):
        if getattr(block, name):
            raise UserError(f"{place(*at, name)}: {block.benchmark} is of kind markov, which takes none: it measures itself")
    for name, split in benchmark.splits.items():
        if (split.forget2_length or 0) > benchmark.length:
            where = place("benchmarks", block.benchmark, "splits", name, "forget2_length")
            raise UserError(f"{where}: {split.forget2_length}: sequences have {benchmark.length} states")
    for name in block.models:
        model = config.models[name]
        if isinstance(model, ChainEntry) and model.width % model.heads:
            raise UserError(f"{place('models', name, 'width')}: {model.width} cannot be shared by {model.heads} heads")


def check_chain_method(where: str, method: str, variant: str, retain_loss: str, start: str, reference: str) -> None:
    """Refuse what Markov chains do not have: refusals, frozen models, retain data, choices."""
    objective = load_objective(method)
    if objective.needs_refusals or objective.needs_logits or objective.needs_activations or not objective.is_trained:
        raise UserError(f"{where}: a method of Markov chains reads log-probabilities of the forget sequences alone")
    if variant == CHOSEN:
        raise UserError(f"{where}: choices are made among models that a suite judges, and Markov chains have none")
    for name, value, wanted in (
        ("retain_loss", retain_loss, "none"),
        ("start", start, ORIGINAL),
        ("reference", reference, PLAIN),
    ):
        if value != wanted:
            raise UserError(f"{where}: {name}: {value}: on Markov chains it is {wanted}")


def _is_chain(model: object) -> bool:
    return isinstance(model, ChainEntry)


def check_training(where: str, method: str, training: UnlearnSettings, name: str, model: Model) -> None:
    """Refuse a stop after an epoch that is not there, a retain loss of other methods, and what a method cannot train."""
    objective = load_objective(method)
    try:
        _ = training.last_epoch
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if training.retain_loss not in objective.retain_losses:
        allowed = ", ".join(objective.retain_losses)
        raise UserError(f"{where}: retain_loss: {training.retain_loss}: {method} does not take it; allowed: {allowed}")
    if objective.trained_layers is None:
        return
    if getattr(model, "lora", None):
        raise UserError(f"{where}: {method} trains weights of the model, not adapters: {name} has lora")
    if model.resources.parallel == "fsdp":
        raise UserError(f"{where}: {method} needs all weights in every process: {name} has resources: parallel: fsdp: ddp")


def check_weights(where: str, training: UnlearnSettings, layers: Sequence[tuple[Mapping[str, Any], bool]]) -> None:
    """Refuse a training without a loss, and a weight of a retain loss that there is not.

    `layers` are what the config gives, the least specific first, each with whether it is said of this method alone. A weight may
    be said of all methods at once, or of a retain loss that a more specific layer leaves out.
    """
    has_retain = training.retain_loss != "none"
    if max(training.forget_weight, training.retain_weight if has_retain else 0) < FAINTEST:
        other = "retain_weight is 0 too" if has_retain else "there is no retain loss"
        raise UserError(f"{where}: forget_weight: {training.forget_weight}: {other}, so that nothing is learnt")
    if has_retain:
        return
    without = max((place for place, (given, _) in enumerate(layers) if "retain_loss" in given), default=0)
    for given, is_own in layers[without:]:
        weight = given.get("retain_weight", NO_WEIGHT)
        if weight not in (0, NO_WEIGHT) and (is_own or "retain_loss" in given):
            raise UserError(f"{where}: retain_weight: {weight}: there is no retain loss to weigh (retain_loss: none)")


def check_layer(where: str, loss: Mapping[str, Any], model: Model) -> None:
    """Refuse a layer that a tiny model does not have."""
    if isinstance(model, Tiny) and loss.get("layer", 0) >= model.architecture.layers:
        last = model.architecture.layers - 1
        raise UserError(f"{where}: layer: {loss['layer']}: the layers of this model are 0 to {last}")


def check_chain_draws(where: str, training: UnlearnSettings, chains: MarkovBenchmark) -> None:
    """Refuse an unlearning that needs more sequences than there are: each iteration takes other ones."""
    wanted, there = training.last_epoch * training.batch_size, 2 * chains.learnt(chains.forget_sequences)
    if wanted > there:
        raise UserError(
            f"{where}: epochs: {training.last_epoch}: with a batch_size of {training.batch_size} they take {wanted} sequences, "
            f"and the two forget chains have {there} to learn"
        )


def check_watched(where: str, training: UnlearnSettings | None) -> None:
    """Refuse to watch by epochs what is trained by steps."""
    if training and training.max_steps is not None:
        raise UserError(f"{where}: max_steps: {training.max_steps}: what is watched or chosen is trained by epochs: null")


def check_judged(config: Config, benchmark: str, split: str, selection: Selection, *keys: str | int) -> None:
    """Refuse a choice on what its trials cannot be judged on, or by."""
    _judges(config, benchmark, selection.suite, *keys, "suite")
    kind = config.benchmarks[benchmark].kind
    if selection.maximise not in JUDGED[kind]:
        allowed = ", ".join(JUDGED[kind])
        raise UserError(f"{place(*keys, 'maximise')}: {selection.maximise}: suites of kind {kind} give {allowed}")
    if config.benchmarks[benchmark].kind == "tofu":
        check_split(config, benchmark, split, *keys, "split")
    elif split != FORGET:
        raise UserError(f"{place(*keys, 'split')}: {split}: of texts only split {FORGET} is watched: set split: {FORGET}")


def _judges(config: Config, benchmark: str, suite: str, *keys: str | int) -> None:
    """Refuse a suite that does not say how far a model of the benchmark has forgotten."""
    kind = config.benchmarks[benchmark].kind
    if kind not in JUDGED:
        raise UserError(f"{place(*keys)}: {benchmark} is of kind {kind}, which is not watched: no trajectories, and no choice")
    known("suite", [suite], config.suites, *keys)
    if config.suites[suite].kind != kind:
        raise UserError(f"{place(*keys)}: {suite!r} is of kind {config.suites[suite].kind}: kind {kind} is wanted")


def stands_in(external: External, block: Block) -> bool:
    """Return whether models of a block stand in the table that an imported one is to stand in."""
    is_place = external.benchmark == block.benchmark and external.split in block.splits and external.model in block.models
    return is_place and external.suite in block.suites


def check_epochs(method: str, *keys: str | int) -> None:
    """Refuse a method that has no epochs."""
    if not load_objective(method).is_trained:
        without = "has no epochs: no trajectories, no grid, no choice; settings to compare are variants"
        raise UserError(f"{place(*keys)}: {method} edits weights once and {without}")


def known(what: str, names: Iterable[str], allowed: Iterable[str], *keys: str | int) -> None:
    """Refuse the first of some names that is not allowed."""
    for name in names:
        if name not in allowed:
            raise UserError(f"{place(*keys)}: {suggest(what, name, allowed)}")
