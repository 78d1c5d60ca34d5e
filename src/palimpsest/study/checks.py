"""Checks beyond a config's types: its names exist, its settings fit their methods, and its folders exist."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palimpsest.benchmarks.base import LocalSource, SourcedBenchmark
from palimpsest.errors import UserError
from palimpsest.evaluation.judging.settings import LocalJudge
from palimpsest.lines import find_half
from palimpsest.methods import list_methods, load_method
from palimpsest.mistakes import known, place
from palimpsest.models.settings import EIGHT_BIT, Pretrained, Repository, Tiny, Weights
from palimpsest.names import DEFAULT, GRID, ORIGINAL, PLAIN, RETRAIN, ROLES, SELECTED, UNLEARN
from palimpsest.study.blocks import check_block, check_epochs, check_pattern, stands_in
from palimpsest.study.messages import explain
from palimpsest.study.models import Config, External, MethodSettings
from palimpsest.study.patterns import ANY
from palimpsest.training.settings import UnlearnSettings

PATTERN = ("benchmark", "split", "model", "method")


def check_config(config: Config) -> None:
    """Raise UserError with one line for the first mistake."""
    for index, block in enumerate(config.blocks):
        check_block(config, block, "blocks", index)
    for name, model in config.models.items():
        if getattr(model, "optimizer", None) == EIGHT_BIT and (parallel := model.resources.parallel) != "ddp":
            said = f"{EIGHT_BIT} needs all weights in every process, but resources has parallel: {parallel}; use ddp"
            raise UserError(f"{place('models', name, 'optimizer')}: {said}")
        if isinstance(model, Tiny) and model.lora and max(model.lora.layers or [0]) >= (there := model.architecture.layers):
            asked = max(model.lora.layers or [])
            raise UserError(f"{place('models', name, 'lora', 'layers')}: {asked}: the layers of this model are 0 to {there - 1}")
    _check_patterns(config, "finetuning", config.finetuning, PATTERN[:3])
    _check_patterns(config, "reinforcing", config.reinforcing, PATTERN[:3])
    _check_patterns(config, "alternatives", config.alternatives, PATTERN[:3])
    _check_patterns(config, "methods", config.methods, PATTERN)
    _check_patterns(config, "variants", config.variants, PATTERN)
    _check_patterns(config, "grids", config.grids, PATTERN)
    _check_patterns(config, "selections", config.selections, PATTERN)
    if PLAIN in config.references:
        raise UserError(f"{place('references', PLAIN)}: plain is the start model itself")
    for pattern, selection in config.selections.items():
        known("suite", [selection.suite], config.suites, "selections", pattern, "suite")
        known("benchmark", selection.benchmarks, config.benchmarks, "selections", pattern, "benchmarks")
    for key, sources in config.published.items():
        if key.count("/") != 2:
            raise UserError(f"{place('published', key)}: a key is benchmark/split/model")
        for index, published in enumerate(sources):
            known("method", published.scores, [*ROLES, *list_methods()], "published", key, index, "scores")
    for name, external in config.external.items():
        _check_external(config, name, external)
    for name in config.checkpoints:
        if name in (*list_methods(), UNLEARN):
            raise UserError(f"{place('checkpoints', name)}: this is the name of a method or of a folder; choose another name")
        if name in config.external:
            raise UserError(f"{place('checkpoints', name)}: an imported log has this name too; choose another name")
    for pattern, settings in config.methods.items():
        _check_settings(pattern, settings, "methods", pattern)
    for pattern, grid in config.grids.items():
        _check_grid(pattern, grid)
    for section in ("grids", "selections"):
        for pattern in getattr(config, section):
            if (method := pattern.rpartition("/")[2]) != ANY:
                check_epochs(method, section, pattern)
    for pattern, variants in config.variants.items():
        for name, settings in variants.items():
            if name == DEFAULT:
                raise UserError(f"{place('variants', pattern, name)}: default is the unchanged method; change it under methods")
            if name in (GRID, SELECTED):
                raise UserError(f"{place('variants', pattern, name)}: the name is reserved; see grids and selections")
            _check_settings(pattern, settings, "variants", pattern, name)


def check_characters(value: Any, *keys: str | int) -> None:
    """Raise UserError for a text with half of a surrogate pair, which no file can hold."""
    if isinstance(value, str) and (half := find_half(value)):
        raise UserError(f"{place(*keys)}: {half} is half of a surrogate pair, not a character")
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        check_characters(key, *keys)
        check_characters(inner, *keys, key)


def files_made_of(results: str, benchmark: str) -> dict[str, str] | None:
    """Return the hashes of the source files that a benchmark's data were made from; None if they do not tell any."""
    try:
        described = json.loads(Path(results, benchmark, "data", "source.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    hashes: dict[str, str] | None = described.get("files")
    return hashes


def check_folders(config: Config, results: str, requested: Collection[tuple[str, str]]) -> None:
    """Raise UserError if a folder of data or of a model is missing, unless its artefact exists.

    `requested` are the benchmarks and models that are used together, apart from judges.
    """
    for name in dict.fromkeys(benchmark for benchmark, _ in requested):
        settings = config.benchmarks[name]
        if not isinstance(settings, SourcedBenchmark):
            continue
        source = config.sources[settings.source]
        if isinstance(source, LocalSource) and not Path(source.path).is_dir() and files_made_of(results, name) is None:
            where = place("sources", settings.source, "path")
            raise UserError(f"{where}: there is no folder {source.path!r}: it should hold {source.holds}")
    for benchmark, name in dict.fromkeys([*requested, *_judges(config)]):
        model = config.models[name]
        if not isinstance(model, Pretrained) or Path(results, benchmark, name, "base", "manifest.json").exists():
            continue
        for keys, repository in _repositories(name, model):
            _check_repository(repository, "models", *keys)
    for name in dict.fromkeys(name for block in config.blocks for name in block.checkpoints):
        _check_repository(config.checkpoints[name], "checkpoints", name)


def _judges(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the benchmark of each block with the model of its judge, if this machine runs it."""
    for block in config.blocks:
        judge = config.judges[block.judge] if block.judge else None
        if isinstance(judge, LocalJudge):
            yield block.benchmark, judge.model


def _check_repository(repository: Repository, *keys: str) -> None:
    """Refuse a folder that does not exist, of a repository or of the model that its adapter changes."""
    for each, at in ((repository, keys), (getattr(repository, "over", None), (*keys, "over"))):
        if each is not None and each.revision is None and not Path(each.name).is_dir():
            where = place(*at, "name")
            raise UserError(f"{where}: there is no folder {each.name!r}; for the Hub run `palimpsest pin FILE` once")


def _repositories(name: str, model: Pretrained) -> Iterator[tuple[tuple[str, ...], Repository]]:
    """Yield the repositories that a model is fetched from, each with its place in the config."""
    if model.name is not None:
        yield (name,), Weights(name=model.name, revision=model.revision, over=model.over)
    for key in ("tokenizer", ORIGINAL, RETRAIN):
        found = getattr(model, key, None)
        if isinstance(found, dict):
            yield from (((name, key, split), each) for split, each in found.items())
        elif found is not None:
            yield (name, key), found


def check_logs(config: Config, made: Callable[[str], bool]) -> None:
    """Raise UserError if an imported log is missing, unless its artefact is `made`."""
    for name, external in config.external.items():
        for key in ("log", "retrain"):
            path = getattr(external, key)
            if path is not None and not Path(path).exists() and not made(name):
                raise UserError(f"{place('external', name, key)}: there is no {path!r}; expected a log, or a folder with a log")


def _check_external(config: Config, name: str, external: External) -> None:
    """Refuse the name of a method, and a place where the study shows no models."""
    if name in list_methods():
        raise UserError(f"{place('external', name)}: this is the name of a method; an imported log needs another name")
    known("benchmark", [external.benchmark], config.benchmarks, "external", name, "benchmark")
    known("model", [external.model], config.models, "external", name, "model")
    known("suite", [external.suite], config.suites, "external", name, "suite")
    benchmark, suite = config.benchmarks[external.benchmark], config.suites[external.suite]
    if not benchmark.takes_logs:
        where = place("external", name, "benchmark")
        raise UserError(f"{where}: {external.benchmark} is of kind {benchmark.kind}, which does not take imported logs")
    if suite.kind != benchmark.kind:
        where = place("external", name, "suite")
        raise UserError(f"{where}: {external.suite} is of kind {suite.kind}; expected kind {benchmark.kind}")
    if not any(stands_in(external, block) for block in config.blocks):
        wanted = "/".join((external.benchmark, external.split, external.model))
        raise UserError(f"{place('external', name)}: no block evaluates models of {wanted} with suite {external.suite}")


def _check_patterns(config: Config, section: str, patterns: Iterable[str], segments: tuple[str, ...]) -> None:
    allowed: dict[str, Iterable[str]] = {"benchmark": config.benchmarks, "model": config.models, "method": list_methods()}
    for pattern in patterns:
        parts = pattern.split("/")
        if len(parts) != len(segments):
            raise UserError(f"{place(section, pattern)}: a pattern is {'/'.join(segments)}, each a name or *")
        for segment, part in zip(segments, parts, strict=True):
            if part != ANY and segment in allowed:
                known(segment, [part], allowed[segment], section, pattern)
        check_pattern(config, *parts[:2], section, pattern)


def _check_grid(pattern: str, grid: Mapping[str, Sequence[Any]]) -> None:
    """Refuse a setting that trials cannot vary, and a value that its setting does not allow."""
    for name, values in grid.items():
        if name in ("start", "reference"):
            raise UserError(f"{place('grids', pattern)}: {name}: trials vary only settings of training and of the method")
        if name == "draw":
            raise UserError(f"{place('grids', pattern)}: draw: a selection would take the luckiest; list draws under variants")
        for value in values:
            try:
                settings = MethodSettings.model_validate({name: value})
            except ValidationError as error:
                raise UserError(explain(error, {name: value}, {}, "grids", pattern)) from None
            _check_settings(pattern, settings, "grids", pattern)


def _check_settings(pattern: str, settings: MethodSettings, *keys: str) -> None:
    """Refuse a setting that a method does not have or a value that it does not allow; a last segment * means every method.

    If the pattern names a method that trains nothing, training settings are refused too.
    """
    method, own = pattern.rpartition("/")[2], settings.own
    trained = sorted(settings.model_fields_set & UnlearnSettings.model_fields.keys())
    if trained and method != ANY and not load_method(method).is_trained:
        has = ", ".join(load_method(method).model_fields)
        raise UserError(f"{place(*keys)}: {trained[0]}: {method} trains nothing; its own settings: {has}")
    for name in (list_methods() if method == ANY else [method]) if own else ():
        kind = load_method(name)
        general = MethodSettings.model_fields if kind.is_trained else ["start"]
        known(f"setting of {name}", own, [*kind.model_fields, *general], *keys)
        try:
            kind.model_validate(own)
        except ValidationError as error:
            raise UserError(explain(error, own, kind.model_json_schema(), *keys)) from None
