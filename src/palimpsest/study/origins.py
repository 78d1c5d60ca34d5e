"""Where the settings of a config come from: the file and the line of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from palimpsest.lines import read_text
from palimpsest.mistakes import place
from palimpsest.names import DEFAULT, SELECTED, ModelId
from palimpsest.study.patterns import matching_patterns
from palimpsest.study.study import Study

Key = tuple[str | int, ...]
# Where a setting that no file names comes from.
NOWHERE = "default"


def find_places(paths: Iterable[Path]) -> dict[Key, str]:
    """Return `file:line` of every key and element of configs, by its path; of files that set the same, the last one's."""
    places: dict[Key, str] = {}
    for path in paths:
        root = yaml.compose(read_text(path).replace("\t", " "), Loader=yaml.SafeLoader)
        places |= {key: f"{path}:{line}" for key, line in _walk(root, ())} if root else {}
    return places


def _walk(node: yaml.Node, key: Key) -> Iterator[tuple[Key, int]]:
    if isinstance(node, yaml.MappingNode):
        # Replaces `<<` by the keys that it stands for, which keep their own lines.
        yaml.constructor.SafeConstructor().flatten_mapping(node)
        for name, value in node.value:
            at = (*key, str(name.value))
            yield at, name.start_mark.line + 1
            yield from _walk(value, at)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*key, number), value.start_mark.line + 1
            yield from _walk(value, (*key, number))


def locate(message: str, places: dict[Key, str]) -> str:
    """Return an error of a config with the file and line of the innermost key that it names."""
    named = [key for key in places if message.startswith(f"{place(*key)}:")]
    return f"{places[max(named, key=len)]}: {message.removeprefix('config: ')}" if named else message


def settings_of(study: Study, of: ModelId, places: dict[Key, str]) -> list[tuple[str, Any, str]]:
    """Return each resolved setting of a variant, or of the fine-tuning of a place without a method: name, value and origin."""
    if not of.method:
        values: dict[str, Any] = study.finetuning(*of.place).model_dump()
        layers: list[Key] = [("finetuning", pattern) for pattern in matching_patterns(study.config.finetuning, of.place)]
        return _with_origins(values, layers, places)
    variant = study.variant(of)
    values = {**(variant.settings["training"] or {}), **variant.loss, "start": variant.start, "reference": variant.reference}
    layers = [("methods", pattern) for pattern in matching_patterns(study.config.methods, of.key)]
    if of.variant not in (DEFAULT, SELECTED):
        layers += [("variants", pattern, of.variant) for pattern in matching_patterns(study.config.variants, of.key)]
        if of.variant not in study.variants(*of.key):
            layers += [("grids", pattern) for pattern in matching_patterns(study.config.grids, of.key)]
    return _with_origins(values, layers, places)


def _with_origins(values: dict[str, Any], layers: Iterable[Key], places: dict[Key, str]) -> list[tuple[str, Any, str]]:
    layers = list(layers)
    found = {name: [places[*layer, name] for layer in layers if (*layer, name) in places] for name in values}
    return [(name, value, found[name][-1] if found[name] else NOWHERE) for name, value in values.items()]
