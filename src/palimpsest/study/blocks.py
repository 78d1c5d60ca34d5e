"""Checks of a block against its kind of benchmark: splits, models, methods, suites, attacks and trajectories."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from palimpsest.benchmarks.base import Benchmark, Source, SourcedBenchmark
from palimpsest.benchmarks.kinds import measuring_kind, source_modules
from palimpsest.benchmarks.suites import SETTINGS
from palimpsest.errors import UserError
from palimpsest.evaluation.judging.settings import LocalJudge
from palimpsest.evaluation.lm_eval.suite_settings import LmEvalSuite
from palimpsest.evaluation.suite import Suite
from palimpsest.methods import load_method
from palimpsest.methods.base import LayerMethod, Method
from palimpsest.mistakes import known, place
from palimpsest.models.settings import Tiny
from palimpsest.names import GRID, ORIGINAL, RETRAIN, SELECTED
from palimpsest.study.models import Block, Config, External, Model, Selection
from palimpsest.study.patterns import ANY
from palimpsest.training.settings import UnlearnSettings

# For each kind of suite, the scores that measure how far a model has forgotten.
AIM_NAMES = {kind: [aim.name for aim in suite.aims] for kind, suite in SETTINGS.items() if suite.aims}
# A loss with a smaller weight has no effect.
FAINTEST = 1e-9
# The retain weight if the config gives none.
NO_WEIGHT = UnlearnSettings.model_fields["retain_weight"].default


def check_block(config: Config, block: Block, *at: str | int) -> None:
    """Raise UserError with one line if a block requests something that its benchmark does not provide."""
    for method, variants in block.variants.items():
        if twice := next((name for name in variants if variants.count(name) > 1), None):
            raise UserError(f"{place(*at, 'methods')}: {method}: variant {twice!r} is listed twice")
    for key in ("attacks", "trajectories"):
        if getattr(block, key) and not (block.methods or (key == "attacks" and block.checkpoints)):
            raise UserError(f"{place(*at, key)}: the block has no methods, so it has no unlearned models")
    known("benchmark", [block.benchmark], config.benchmarks, *at, "benchmark")
    _check_keep(config, block, *at)
    known("model", block.models, config.models, *at, "models")
    benchmark = config.benchmarks[block.benchmark]
    _check_models(config, block, benchmark, *at)
    _check_checkpoints(config, block, *at)
    if benchmark.measures_itself:
        _check_measures_itself(block, benchmark, *at)
    else:
        _check_measured(config, block, benchmark, *at)
    _check_judge(config, block, benchmark, *at)
    if isinstance(benchmark, SourcedBenchmark):
        source = _check_source(config, block.benchmark, benchmark)
        for name in block.suites:
            _check_data_files(name, config.suites[name], benchmark.source, source)
    benchmark.check(config, block, *at)
    for split in block.splits:
        benchmark.check_split(config, block.benchmark, split, *at, "splits")
        for key in ("trajectories", "attacks"):
            if getattr(block, key) and not benchmark.is_watched(split):
                raise UserError(f"{place(*at, key)}: {split} of {block.benchmark} has no {key}")


def _check_judge(config: Config, block: Block, benchmark: Benchmark, *at: str | int) -> None:
    """Refuse a judge without answers to judge, and a judge on this machine whose model has no weights of its own."""
    if block.judge is None:
        return
    where = place(*at, "judge")
    known("judge", [block.judge], config.judges, *at, "judge")
    if not any(config.suites[name].judged for name in block.suites):
        kinds = ", ".join(kind for kind, suite in SETTINGS.items() if suite.judged)
        raise UserError(f"{where}: no suite of the block asks questions for a judge; kinds of suites that do: {kinds}")
    judge = config.judges[block.judge]
    if isinstance(judge, LocalJudge):
        own = [name for name, model in config.models.items() if model.kind in benchmark.model_kinds]
        known("model", [judge.model], own, "judges", block.judge, "model")
        if getattr(config.models[judge.model], "name", "") is None:
            raise UserError(f"{place('judges', block.judge, 'model')}: {judge.model} has no `name`: a judge is a base model")


def _check_keep(config: Config, block: Block, *at: str | int) -> None:
    """Refuse to prune the models of a block that only makes them."""
    is_read = block.suites or block.trajectories or config.benchmarks[block.benchmark].measures_itself
    if block.keep not in (None, "all") and not is_read:
        raise UserError(f"{place(*at, 'keep')}: {block.keep}: nothing reads the models of the block; use all, or name suites")


def _check_source(config: Config, name: str, benchmark: SourcedBenchmark) -> Source:
    """Return the source of a benchmark; refuse an unknown one, one of another kind, and one that lacks a setting."""
    known("source", [benchmark.source], config.sources, "benchmarks", name, "source")
    source = config.sources[benchmark.source]
    allowed = source_modules(benchmark.kind)
    if source.kind not in allowed:
        where = place("benchmarks", name, "source")
        said = f"{benchmark.source!r} is of kind {source.kind}; allowed for kind {benchmark.kind}: {', '.join(allowed)}"
        raise UserError(f"{where}: {said}")
    source.check("sources", benchmark.source)
    return source


def _check_models(config: Config, block: Block, benchmark: Benchmark, *at: str | int) -> None:
    """Refuse models of other kinds, and finished models if the benchmark trains its own."""
    own = [name for name, model in config.models.items() if model.kind in benchmark.model_kinds]
    only = benchmark.model_kinds[0] if len(benchmark.model_kinds) == 1 else ""
    known(f"model of kind {only}" if only else "model", block.models, own, *at, "models")


def check_given(config: Config, name: str, model: str, requested: Collection[str]) -> None:
    """Raise UserError if a model's given Original or Retrain does not fit a benchmark and the splits that are requested of it.

    This is a given Original of a benchmark that makes its own, and a Retrain that is missing, not needed or ambiguous.
    """
    if not getattr(config.models[model], ORIGINAL, None):
        return
    benchmark, retrain = config.benchmarks[name], getattr(config.models[model], RETRAIN, None)
    where, reason = place("models", model, RETRAIN), f"{name} is of kind {benchmark.kind}"
    if benchmark.draws_anew:
        raise UserError(f"{place('models', model, ORIGINAL)}: {reason}, which makes its own; use null")
    if RETRAIN not in benchmark.roles:
        if retrain:
            raise UserError(f"{where}: {reason}, which has no Retrain; use null")
        return
    if not retrain:
        raise UserError(f"{where}: null: {ORIGINAL} and {RETRAIN} go together: give both or neither")
    splits = sorted({benchmark.retrain_split or benchmark.home(split) for split in requested})
    if isinstance(retrain, dict):
        if missing := [split for split in splits if split not in retrain]:
            raise UserError(f"{where}: no Retrain of {missing[0]}; given: {', '.join(retrain)}")
    elif len(splits) > 1:
        raise UserError(
            f"{where}: one Retrain for {', '.join(splits)}; give one for each: {{{splits[0]}: ..., {splits[1]}: ...}}"
        )


def _check_checkpoints(config: Config, block: Block, *at: str | int) -> None:
    """Refuse checkpoints where a block has several places, nothing that measures them, or a benchmark that trains all models."""
    if not block.checkpoints:
        return
    known("checkpoint", block.checkpoints, config.checkpoints, *at, "checkpoints")
    where, benchmark = place(*at, "checkpoints"), config.benchmarks[block.benchmark]
    if benchmark.draws_anew:
        raise UserError(f"{where}: {block.benchmark} is of kind {benchmark.kind}, which trains all its models; leave them out")
    if len(block.splits) > 1 or len(block.models) > 1:
        raise UserError(f"{where}: a checkpoint belongs to one split and one model; put it into a block of its own")
    if not block.suites:
        raise UserError(f"{where}: no suite evaluates them; name one under suites")


def _check_measures_itself(block: Block, benchmark: Benchmark, *at: str | int) -> None:
    for key in ("suites", "attacks", "trajectories"):
        if getattr(block, key):
            said = f"{block.benchmark} is of kind {benchmark.kind}, which measures itself and takes none"
            raise UserError(f"{place(*at, key)}: {said}")
    for method, variants in block.variants.items():
        if SELECTED in variants:
            said = f"a selection needs a suite that judges the trials, but {block.benchmark} measures itself"
            raise UserError(f"{place(*at, 'methods')}: {method}: {SELECTED}: {said}")


def _check_measured(config: Config, block: Block, benchmark: Benchmark, *at: str | int) -> None:
    """Refuse suites and attacks that do not fit the benchmark, and methods without epochs where epochs are needed."""
    known("suite", block.suites, config.suites, *at, "suites")
    suites = {name: config.suites[name].kind for name in block.suites}
    for name, kind in suites.items():
        if kind not in benchmark.suite_kinds:
            allowed = " or ".join(benchmark.suite_kinds)
            raise UserError(f"{place(*at, 'suites')}: {name!r} is of kind {kind}; expected kind {allowed}")
        try:
            config.suites[name].hash_own_files()
        except UserError as error:
            raise UserError(f"{place('suites', name, 'tasks')}: {error}") from None
    if block.trajectories:
        _judges(config, block.benchmark, block.trajectories.suite, *at, "trajectories", "suite")
    for method, variants in block.variants.items():
        if block.trajectories or {GRID, SELECTED} & {*variants}:
            check_epochs(method, *at, "methods")
    known("attack", block.attacks, config.attacks, *at, "attacks")
    for name in block.attacks:
        if config.attacks[name].has == "other" and not benchmark.other_sets:
            said = f"{name}: data: other: {block.benchmark} (kind {benchmark.kind}) has no other set than forget and retain"
            raise UserError(f"{place(*at, 'attacks')}: {said}")
    if block.attacks and (measuring := measuring_kind(benchmark.kind)) not in suites.values():
        raise UserError(f"{place(*at, 'attacks')}: attacks are measured by a suite of kind {measuring}: add one to suites")


def _check_data_files(name: str, suite: Suite, source_name: str, source: Source) -> None:
    """Refuse a task that reads a set which the data lack or leave empty."""
    files = [f"{name}.jsonl" for name in source.sets]
    for file in sorted(suite.data_files()) if isinstance(suite, LmEvalSuite) else ():
        if not any(fnmatch(file, there) or fnmatch(there, file) for there in files):
            has = f"source {source_name!r} is of kind {source.kind} and gives {', '.join(files)}"
            raise UserError(f"{place('suites', name, 'tasks')}: a task reads {{data}}/{file}; {has}")


def check_pattern(config: Config, benchmark: str, split: str, *keys: str | int) -> None:
    """Refuse a split in a pattern that its benchmark cannot have or, without a benchmark, that no benchmark can have."""
    names = list(config.benchmarks) if benchmark == ANY else [benchmark]
    if split == ANY or any(config.benchmarks[name].has_split(split) for name in names):
        return
    used = [used for block in config.blocks if block.benchmark in names for used in block.splits]
    near = difflib.get_close_matches(split, used, n=1)
    guess = f"; did you mean {near[0]}? " if near else "; "
    allowed = " or ".join(dict.fromkeys(config.benchmarks[name].split_names for name in names))
    raise UserError(f"{place(*keys)}: {split!r} is not a split{guess}allowed: {allowed}, or * for any")


def check_training(where: str, method: str, training: UnlearnSettings, name: str, model: Model) -> None:
    """Refuse a stop after the last epoch, a retain loss of other methods, and a model that the method cannot train."""
    kind = load_method(method)
    try:
        _ = training.last_epoch
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if training.retain_loss not in kind.retain_losses:
        allowed = ", ".join(kind.retain_losses)
        raise UserError(f"{where}: retain_loss: {training.retain_loss}: {method} does not take it; allowed: {allowed}")
    if training.gradients == "projected" and training.retain_loss == "none":
        raise UserError(f"{where}: gradients: projected: there is no retain loss to heed (retain_loss: none)")
    if training.sharpness is not None and getattr(model, "precision", None) == "bf16":
        wider = "so short a move is lost in rounding bf16 weights; use precision: bf16-mixed"
        raise UserError(f"{where}: sharpness: {training.sharpness}: {wider}")
    if not issubclass(kind, LayerMethod):
        return
    if getattr(model, "lora", None):
        raise UserError(f"{where}: {method} trains weights of the model, not adapters: {name} has lora")
    if (parallel := model.resources.parallel) != "ddp":
        raise UserError(f"{where}: {method} needs all weights in every process: {name} has parallel: {parallel}; use ddp")


def check_weights(where: str, training: UnlearnSettings, layers: Sequence[tuple[Mapping[str, Any], bool]]) -> None:
    """Refuse a training without a loss, and a retain weight without a retain loss.

    `layers` are the settings in the config, the least specific first, each with whether it is for this method only. A retain
    weight is allowed if it is for all methods at once, or for a retain loss that a more specific layer removes.
    """
    has_retain = training.retain_loss != "none"
    if max(training.forget_weight, training.retain_weight if has_retain else 0) < FAINTEST:
        other = "retain_weight is 0 too" if has_retain else "there is no retain loss"
        raise UserError(f"{where}: forget_weight: {training.forget_weight}: {other}, so nothing is learnt")
    if has_retain:
        return
    without = max((place for place, (given, _) in enumerate(layers) if "retain_loss" in given), default=0)
    for given, is_own in layers[without:]:
        weight = given.get("retain_weight", NO_WEIGHT)
        if weight not in (0, NO_WEIGHT) and (is_own or "retain_loss" in given):
            raise UserError(f"{where}: retain_weight: {weight}: there is no retain loss to weigh (retain_loss: none)")


def check_layers(where: str, method: Method, model: Model) -> None:
    """Refuse layers that a tiny model does not have."""
    if isinstance(method, LayerMethod) and isinstance(model, Tiny) and method.layers.stop > model.architecture.layers:
        last = model.architecture.layers - 1
        raise UserError(f"{where}: layer {method.layers.stop - 1} does not exist: the layers of this model are 0 to {last}")


def check_watched(where: str, training: UnlearnSettings | None) -> None:
    """Refuse to measure a training by epochs if its length is given in steps."""
    if training and training.max_steps is not None:
        raise UserError(f"{where}: max_steps: {training.max_steps}: trajectories and selections need epochs; use null")


def check_selection(config: Config, benchmark: str, split: str, selection: Selection, *keys: str | int) -> None:
    """Refuse a selection whose trials cannot be measured on its benchmark and split, or by its suite and score."""
    _judges(config, benchmark, selection.suite, *keys, "suite")
    kind = config.benchmarks[benchmark].kind
    if selection.maximise not in AIM_NAMES[kind]:
        allowed = ", ".join(AIM_NAMES[kind])
        raise UserError(f"{place(*keys, 'maximise')}: {selection.maximise}: suites of kind {kind} give {allowed}")
    entry = config.benchmarks[benchmark]
    # No block needs to name it.
    if isinstance(entry, SourcedBenchmark):
        _check_source(config, benchmark, entry)
    entry.check_split(config, benchmark, split, *keys, "split")
    if not entry.is_watched(split):
        raise UserError(f"{place(*keys, 'split')}: {split} of {benchmark} has no trajectories; set another split")


def _judges(config: Config, benchmark: str, suite: str, *keys: str | int) -> None:
    """Refuse a suite that does not measure how far a model of the benchmark has forgotten."""
    kind = config.benchmarks[benchmark].kind
    if kind not in AIM_NAMES:
        raise UserError(f"{place(*keys)}: {benchmark} is of kind {kind}, which has no trajectories and no selections")
    known("suite", [suite], config.suites, *keys)
    if config.suites[suite].kind != kind:
        raise UserError(f"{place(*keys)}: {suite!r} is of kind {config.suites[suite].kind}; expected kind {kind}")


def stands_in(external: External, block: Block) -> bool:
    """Return whether the models of a block are shown in the same table as an imported log."""
    is_place = external.benchmark == block.benchmark and external.split in block.splits and external.model in block.models
    return is_place and external.suite in block.suites


def check_epochs(method: str, *keys: str | int) -> None:
    """Refuse a method that has no epochs."""
    if not load_method(method).is_trained:
        without = "has no epochs: no trajectories, grid or selection; compare its settings as variants"
        raise UserError(f"{place(*keys)}: {method} edits weights once and {without}")
