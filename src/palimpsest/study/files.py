"""Checks of config files as they were written: YAML silently drops duplicate keys and misreads some values."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Any

import yaml

from palimpsest.errors import UserError
from palimpsest.lines import find_half, read_text
from palimpsest.provenance.digest import ROOT
from palimpsest.study.messages import one_line
from palimpsest.study.models import Config

BASE = Path("config.yaml")
ARGUMENT, FILES = "--config", "--configfile"
# Numbers, including those that YAML 1.1 reads as text.
_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


Key = tuple[str | int, ...]
# `file:line` of each key and element of a config, by its path.
Places = dict[Key, str]


@dataclass(frozen=True)
class Layer:
    """A file that is merged over `config.yaml`, or an entry of --config."""

    name: str
    config: Mapping[str, Any]


def open_layers(named: Iterable[str | Path], given: Iterable[Path], arguments: Iterable[str] | None) -> list[Layer]:
    """Check all files of a Snakefile's config and return its layers; like Snakemake, skip named files that do not exist.

    On a user error, print one line and exit Snakemake with code 2.
    """
    with one_line():
        # Snakemake names the given files too; of these only the base, here or in the repository, may be merged first.
        above = set(map(_here, given)) - {BASE, _here(ROOT.parent / BASE)}
        below = [path for path in dict.fromkeys(map(_here, named)) if path.is_file() and path not in above]
        return read_layers(below, on_top(below, given), arguments or ())


def on_top(base: Collection[Path], given: Iterable[Path]) -> list[Path]:
    """Return the given files without the base files before them; raises UserError if a base file follows another file."""
    above = list(dropwhile(base.__contains__, map(_here, given)))
    if wrong := next((path for path in above if path in base), None):
        raise UserError(f"{FILES}: {wrong} is merged before the other files: name it first, or not at all")
    return above


def read_layers(named: Iterable[Path], given: Iterable[Path], arguments: Iterable[str]) -> list[Layer]:
    """Check every file of a config; return the files of --configfile and the entries of --config, in the order of merging.

    The `named` files are merged before them. Raises UserError naming file and line.
    """
    for path in named:
        read_file(path)
    return [*(Layer(path.name, read_file(path)) for path in given), *_read_arguments(arguments)]


def over_base(given: Iterable[Path]) -> list[Path]:
    """Return the base and the files that are merged over it; raises UserError as `on_top` does."""
    return [BASE, *on_top([BASE], given)]


def read_configs(paths: Iterable[Path]) -> dict[str, Any]:
    """Return configs merged as Snakemake merges them; raises UserError as `read_file` does."""
    return read_located(paths)[0]


def read_located(paths: Iterable[Path]) -> tuple[dict[str, Any], Places]:
    """Return the merged configs like `read_configs`, and `file:line` of every key and element: of a key in several, the last."""
    from snakemake.utils import update_config

    config: dict[str, Any] = {}
    places: Places = {}
    for path in paths:
        said, root = _read(path)
        update_config(config, said)
        places |= {key: f"{path}:{line}" for key, line in _walk(root, ())}
    return config, places


def read_file(path: Path) -> Mapping[str, Any]:
    """Return the config in a file; raises UserError naming file and line unless it is a mapping that YAML reads as meant."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Mapping[str, Any], yaml.MappingNode]:
    text = read_text(path)
    try:
        is_json = _is_json(text)
        # JSON may be indented with tabs, but its strings contain none.
        root = yaml.compose(text.replace("\t", " ") if is_json else text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            where = f"{path}:{_line(root)}" if root else f"{path}: empty"
            raise UserError(f"{where}: a config is a mapping of keys to values")
        _check_keys(str(path), root)
        for key, value in root.value:
            # Other keys belong to a workflow that uses this one as a module.
            if not is_json and key.value in Config.model_fields:
                _check_scalars(path, value)
        return _construct(root), root
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not YAML: {', '.join(filter(None, [error.context, error.problem]))}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{path}: not YAML: nested too deep") from None


def _walk(node: yaml.Node, key: Key) -> Iterator[tuple[Key, int]]:
    if isinstance(node, yaml.MappingNode):
        # Replaces `<<` by the keys that it stands for, which keep their own lines.
        yaml.constructor.SafeConstructor().flatten_mapping(node)
        for name, value in node.value:
            at = (*key, str(name.value))
            yield at, _line(name)
            yield from _walk(value, at)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*key, number), _line(value)
            yield from _walk(value, (*key, number))


def _here(path: str | Path) -> Path:
    """Return a path relative to the working directory, if it is below that."""
    absolute = Path(path).absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute


def _read_arguments(arguments: Iterable[str]) -> Iterator[Layer]:
    names: set[str] = set()
    for argument in arguments:
        name, _, text = argument.partition("=")
        if name in names:
            raise UserError(f"{ARGUMENT}: {name} is given twice")
        names.add(name)
        value: Any = text
        # Snakemake reads a value that is not YAML as text.
        with suppress(yaml.YAMLError):
            if node := yaml.compose(text, Loader=yaml.BaseLoader):
                _check_keys(f"{ARGUMENT} {name}", node)
                value = _construct(node)
        yield Layer(f"{ARGUMENT} {name}", {name: value})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


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


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1
