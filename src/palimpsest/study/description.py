"""A study's description for its report, and its fully resolved config."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import yaml

from palimpsest.evaluation.judging.settings import LocalJudge
from palimpsest.evaluation.judging.verdicts import read_prompt
from palimpsest.names import DEFAULT, PLAIN, SELECTED, ModelId
from palimpsest.settings import spelled
from palimpsest.study.made import Key, list_asked, list_made
from palimpsest.study.study import Study

Place = tuple[str, str, str]
LINE_BREAKS = "\r\x85\u2028\u2029"


def describe_study(study: Study) -> dict[str, Any]:
    """Return a description of the study: one block per (benchmark, split, model), each variant with all its settings."""
    config = study.config
    blocks = {key: _block(study, key) for key in _keys(study)}
    shown = list(blocks.values())
    references = {variant["reference"] for block in shown for _, variant in _described(block)} - {PLAIN}
    return {
        "name": config.study,
        "description": config.description,
        "data": {name: _data(study, name) for name, _, _ in blocks},
        "models": {name: spelled(config.models[name], exclude={"resources"}) for name in _models(study, blocks)},
        "attacks": {name: spelled(config.attacks[name]) for block in shown for name in block["attacks"]},
        "suites": {name: spelled(config.suites[name]) for block in shown for name in block["suites"] if name in config.suites},
        "references": {name: spelled(config.references[name]) for name in sorted(references)},
        **_judges(study),
        "blocks": shown,
    }


def _models(study: Study, blocks: Iterable[Place]) -> dict[str, None]:
    """Return the names of the models of the blocks, and of the judges on this machine."""
    judges = [study.judge_of(of) for of in study.subjects.judged]
    names = [*(name for _, _, name in blocks), *(judge.model for judge in judges if isinstance(judge, LocalJudge))]
    return dict.fromkeys(names)


def _judges(study: Study) -> dict[str, Any]:
    """Return the settings of the judges with their prompt; without a judge, the description has no such key."""
    used = sorted({study.subjects[of].judge for of in study.subjects.judged})
    judges = {name: {**spelled(study.config.judges[name], exclude={"key"}), "prompt": read_prompt()} for name in used}
    return {"judges": judges} if judges else {}


def _data(study: Study, benchmark: str) -> dict[str, Any]:
    settings = study.benchmark(benchmark)
    if settings.measures_itself:
        return spelled(settings)
    source = spelled(study.source(benchmark))
    if settings.is_corpus:
        source |= {"shape": settings.kind, **spelled(settings, exclude={"kind", "source"})}
    return source


def _keys(study: Study) -> Iterable[Place]:
    """Return the places of all runs in the order of the config's blocks; places that only a selection needs come last."""
    listed = [(b.benchmark, split, model) for b in study.config.blocks for split, model in product(b.splits, b.models)]
    return dict.fromkeys([*listed, *(run.place for run in study.runs)])


def _block(study: Study, key: Place) -> dict[str, Any]:
    subjects = {subject: wanted for subject, wanted in study.subjects.items() if subject.place == key}
    asked = {seed for b in study.config.blocks if key in product([b.benchmark], b.splits, b.models) for seed in b.seeds}
    methods: dict[str, dict[str, Any]] = {}
    trials: dict[str, dict[str, Any]] = {}
    suites: dict[str, None] = {}
    for subject, wanted in subjects.items():
        suites |= dict.fromkeys([*sorted(wanted.suites), *([wanted.trajectory.suite] if wanted.trajectory else [])])
        if subject.variant and not subject.attack:
            kind = methods if wanted.model or study.benchmark(key[0]).measures_itself else trials
            kind.setdefault(subject.method, {})[subject.variant] = None
    return {
        "benchmark": key[0],
        "split": key[1],
        "model": key[2],
        # A place that only a selection needs is in no block of the config.
        "seeds": sorted({subject.seed for subject in subjects if subject.seed in asked or not asked}),
        # Splits may share the original of one of them, whose settings trained it.
        "training": spelled(study.finetuning(*study.home(ModelId(*key, seed=0)).place)),
        "methods": {method: _variants(study, key, method, names) for method, names in methods.items()},
        "trials": {method: _variants(study, key, method, names) for method, names in trials.items()},
        "selections": {
            of.method: {**spelled(study.selection(of)), "trials": study.points(of)} for of in study.selections if of.place == key
        },
        "attacks": sorted({subject.attack for subject in subjects} - {""}),
        "suites": list(suites),
        **_imported(study, key),
    }


def _imported(study: Study, key: Place) -> dict[str, dict[str, str]]:
    """Return the labels of the imported logs; without imported logs, the description has no such key."""
    external = study.config.external
    labels = {name: of.label for name, of in external.items() if (of.benchmark, of.split, of.model) == key}
    return {"external": labels} if labels else {}


def _described(block: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    return [(name, settings) for kind in ("methods", "trials") for of in block[kind].values() for name, settings in of.items()]


def _variants(study: Study, key: Place, method: str, names: Iterable[str]) -> dict[str, Any]:
    found = {}
    for name in sorted(names, key=lambda name: name != DEFAULT):
        variant = study.variant(ModelId(*key, method=method, variant=name))
        settings = {kind: of if of and name != SELECTED else {} for kind, of in variant.settings.items()}
        found[name] = {**settings, "start": variant.start, "reference": variant.reference}
    return found


def resolve_config(study: Study) -> dict[str, Any]:
    """Return a valid config of the same study, in which every pattern is replaced by the full settings of each match."""
    made, asked = list_made(study), list_asked(study)
    changes = {key: study.variants(*key) for key in asked}
    resolved: dict[str, dict[Key, Any]] = {
        "finetuning": {key: spelled(study.finetuning(*key)) for key in made["finetuning"]},
        "reinforcing": {key: spelled(study.reinforcing(*key)) for key in made["reinforcing"]},
        "alternatives": {key: spelled(study.alternatives(*key)) for key in made["alternatives"]},
        "methods": {key: _default(study, *key) for key in made["methods"]},
        "variants": {key: {name: changes[key][name] for name in changes[key] if name in asked[key]} for key in made["variants"]},
        "grids": {key: study.grid(*key) for key in made["grids"]},
        "selections": {of.key: spelled(study.selection(of)) for of in study.selections},
    }
    # The config of a study without imported models or judges has no section for them.
    empty = {section for section in ("external", "checkpoints", "judges") if not getattr(study.config, section)}
    sections = {section: {"/".join(key): value for key, value in of.items()} for section, of in resolved.items()}
    return {**spelled(study.config, exclude={*sections, *empty}), **sections, "published": study.published}


class _Dumper(yaml.SafeDumper):
    """Put text with line breaks in double quotes: only there PyYAML escapes them, and it reads unescaped ones as blanks."""


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(mark in text for mark in LINE_BREAKS) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def config_text(config: dict[str, Any]) -> str:
    """Return a config as YAML that parses to the same config."""
    text: str = yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=130, allow_unicode=True)
    return text


def _default(study: Study, benchmark: str, split: str, model: str, method: str) -> dict[str, Any]:
    variant = study.variant(ModelId(benchmark, split, model, method=method, variant=DEFAULT))
    return {**(variant.settings["training"] or {}), **variant.loss, "start": variant.start, "reference": variant.reference}
