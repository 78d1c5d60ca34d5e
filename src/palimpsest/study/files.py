"""The files of a config: which are merged in which order, and checks of what each says.

YAML silently drops duplicate keys and misreads some values.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from palimpsest.errors import UserError
from palimpsest.lines import find_half, read_text
from palimpsest.study.models import Config
from palimpsest.study.places import DEFAULTS

ARGUMENT, FILES = "--config", "--configfile"
EXTENDS = "extends"
# What a study says about itself; a study that extends it has its own.
ITS_OWN = ("study", "description", "results")
# Numbers, including those that YAML 1.1 reads as text.
_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


Key = tuple[str | int, ...]
# `file:line` of each key and element of a config, by its path.
Places = dict[Key, str]


@dataclass(frozen=True)
class Layer:
    """A part of a config: a file, or an entry of --config."""

    name: str
    config: Mapping[str, Any]
    lines: Mapping[Key, int] = field(default_factory=dict)
    """The line of each key and element of a file."""


def list_files(given: Iterable[Path]) -> list[Path]:
    """Return the files of a config in the order of merging: the defaults, and each given file after those that it extends.

    Raises UserError for a file that cannot be read, that extends itself, or that is merged before it is given.
    """
    files = [_here(DEFAULTS)]
    for path in map(_here, given):
        if path in files:
            raise UserError(f"{FILES}: {path} is merged before the other files: name it first, or not at all")
        files += [each for each in _chain(path) if each not in files]
    return files


def read_layers(given: Iterable[Path], arguments: Iterable[str] = ()) -> list[Layer]:
    """Return all layers of a config, checked, in the order of merging: the files of `list_files`, then entries of --config.

    Raises UserError naming file and line.
    """
    given = list(map(_here, given))
    return [*(_layer(path, is_given=path in given) for path in list_files(given)), *_read_arguments(arguments)]


def module_layers(config: Mapping[str, Any], files: Iterable[str | Path]) -> list[Layer]:
    """Return the layers of a config that another workflow read from `files`.

    `extends` is relative to the file that says it, or to the working directory if none does.
    """
    extended = Path(str(config.get(EXTENDS)))
    for path in filter(Path.is_file, map(Path, files)):
        _, root = _read(path)
        if any(_says(node, EXTENDS, config.get(EXTENDS)) for node in nodes(root, set())):
            extended = path.parent / str(config[EXTENDS])
    below = list_files([extended] if EXTENDS in config else [])
    return [*(_layer(path, is_given=False) for path in below), Layer("the config of the module", _without(config, EXTENDS))]


def merge_layers(layers: Iterable[Layer]) -> dict[str, Any]:
    """Return layers merged as Snakemake merges configs: key by key, a later one replaces lists and values of an earlier one."""
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    for layer in layers:
        update_config(config, layer.config)
    return config


def read_configs(given: Iterable[Path]) -> dict[str, Any]:
    """Return the merged config of the given files; raises UserError as `read_layers` does."""
    return merge_layers(read_layers(given))


def places_of(layers: Iterable[Layer]) -> Places:
    """Return `file:line` of every key and element of a config: of a key in several layers, the last."""
    return {key: f"{layer.name}:{line}" for layer in layers for key, line in layer.lines.items()}


def _layer(path: Path, *, is_given: bool) -> Layer:
    said, root = _read(path)
    config = _without(said, EXTENDS, *(() if is_given else ITS_OWN))
    return Layer(str(path), config, {key: line for key, line in _walk(root, ()) if key[0] in config})


def _without(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


def _chain(path: Path, *above: Path) -> list[Path]:
    """Return a file after all files that it extends, directly or not."""
    if path in above:
        raise UserError(f"{path}: {EXTENDS}: {' extends '.join(map(str, (path, *above)))}: a file cannot extend itself")
    try:
        config = read_file(path)
    except UserError as error:
        raise UserError("".join(f"{file}: {EXTENDS}: " for file in reversed(above)) + str(error)) from None
    if not config.get(EXTENDS):
        return [path]
    if not isinstance(config[EXTENDS], str):
        raise UserError(f"{path}: {EXTENDS}: {config[EXTENDS]!r}: name one file, relative to this one")
    return [*_chain(_here(path.parent / config[EXTENDS]), path, *above), path]


def read_file(path: Path) -> Mapping[str, Any]:
    """Return the config in a file; raises UserError naming file and line unless it is a mapping that YAML reads as meant."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Mapping[str, Any], yaml.MappingNode]:
    text = read_text(path)
    try:
        said = _as_json(text)
        # JSON may be indented with tabs, but its strings contain none.
        root = yaml.compose(text if said is None else text.replace("\t", " "), Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            where = f"{path}:{_line(root)}" if root else f"{path}: empty"
            raise UserError(f"{where}: a config is a mapping of keys to values")
        _check_keys(str(path), root)
        for key, value in root.value:
            # Other keys belong to a workflow that uses this one as a module.
            if said is None and key.value in Config.model_fields:
                _check_scalars(path, value)
        # YAML reads some numbers of JSON as text.
        return said or _construct(root), root
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not YAML: {', '.join(filter(None, [error.context, error.problem]))}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: not YAML: nested too deep") from None


def _walk(node: yaml.Node, key: Key, *above: yaml.Node) -> Iterator[tuple[Key, int]]:
    # An anchor may name a node that contains it; the check of the study refuses it.
    if any(node is each for each in above):
        return
    if isinstance(node, yaml.MappingNode):
        # Replaces `<<` by the keys that it stands for, which keep their own lines.
        yaml.constructor.SafeConstructor().flatten_mapping(node)
        for name, value in node.value:
            at = (*key, str(name.value))
            yield at, _line(name)
            yield from _walk(value, at, *above, node)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*key, number), _line(value)
            yield from _walk(value, (*key, number), *above, node)


def _here(path: Path) -> Path:
    """Return a path without `..`, relative to the working directory if it is below that."""
    absolute = Path(os.path.normpath(path.absolute()))
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute


def _read_arguments(arguments: Iterable[str]) -> Iterator[Layer]:
    names: set[str] = set()
    for argument in arguments:
        name, _, text = argument.partition("=")
        if name in names:
            raise UserError(f"{ARGUMENT}: {name} is given twice")
        if name == EXTENDS:
            raise UserError(f"{ARGUMENT}: {name}: only a file extends another")
        names.add(name)
        value: Any = text
        # Snakemake reads a value that is not YAML as text.
        with suppress(yaml.YAMLError):
            if node := yaml.compose(text, Loader=yaml.BaseLoader):
                _check_keys(f"{ARGUMENT} {name}", node)
                value = _construct(node)
        yield Layer(f"{ARGUMENT} {name}", {name: value})


def _as_json(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _construct(root: yaml.Node) -> Any:
    return yaml.constructor.SafeConstructor().construct_document(root)


def _check_keys(where: str, root: yaml.Node) -> None:
    for node in nodes(root, set()):
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{where}:{_line(key)}: the key is a list or a mapping; a key must be text")
            name = (key.tag, key.value)
            if name in lines:
                raise UserError(f"{where}:{_line(key)}: duplicate key {key.value!r}, first in line {lines[name]}")
            lines[name] = _line(key)


def _check_scalars(path: Path, root: yaml.Node) -> None:
    for node in nodes(root, set()):
        if isinstance(node, yaml.ScalarNode) and (misread := _misread(node)):
            raise UserError(f"{path}:{_line(node)}: {misread}")


def _misread(node: yaml.ScalarNode) -> str | None:
    """Return how YAML misreads a scalar and how to write it instead; None if YAML reads it as meant."""
    text, kind = node.value, node.tag.rpartition(":")[2]
    if half := find_half(text):
        return f"{half} is half of a surrogate pair, not a character"
    if node.style is not None:
        return None
    if kind == "null" and not text:
        return "a key or a list's dash without a value: write null for none"
    if kind == "bool" and text.lower() not in ("true", "false"):
        word = str(_construct(node)).lower()
        return f"YAML reads {text} as {word}: write {word}, or {text!r} in quotes for the word"
    if kind in ("int", "float") and ":" in text:
        return f"YAML reads {text} as {_construct(node)} (base 60): write that number, or {text!r} in quotes for the text"
    if kind == "int" and _OCTAL.fullmatch(text):
        return f"YAML reads {text} as {_construct(node)} (base 8): write that number, or remove the leading zero"
    if kind == "timestamp":
        return f"YAML reads {text} as a date: write {text!r} in quotes for the text"
    if kind == "str" and _NUMBER.fullmatch(text):
        return f"YAML reads {text} as text: write {_number(text)} for the number, or {text!r} in quotes for the text"
    return None


def _number(text: str) -> str:
    """Return a number in the notation of YAML 1.1."""
    if text.startswith("0o"):
        return str(int(text, 8))
    number: str = yaml.safe_dump(float(text) if re.search(r"[.eE]", text) else int(text))
    return number.split()[0]


def nodes(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    """Yield a node and all nodes below it, each once: an alias is the node that it names."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    for inner in node.value if isinstance(node, yaml.CollectionNode) else ():
        for part in inner if isinstance(inner, tuple) else (inner,):
            yield from nodes(part, seen)


def _says(node: yaml.Node, key: str, value: Any) -> bool:
    """Return whether a node is a mapping that gives a key this text."""
    return isinstance(node, yaml.MappingNode) and any((name.value, said.value) == (key, value) for name, said in node.value)


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1
