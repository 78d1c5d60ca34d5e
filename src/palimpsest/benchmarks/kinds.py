"""The kinds of benchmarks and of their sources, found by listing folders and imported only when they are used.

A kind of benchmark is a folder next to this file with a `benchmark.py`, or a package that another distribution announces under
the entry point group `palimpsest.benchmarks`. A kind of source is a module in its folder `sources`; those in its folder `stages`
replace general stages. Editing a module reruns only the jobs that use it, because only their code digests cover it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from palimpsest.benchmarks.base import Benchmark, Source
from palimpsest.errors import UserError
from palimpsest.mistakes import suggest

GROUP = "palimpsest.benchmarks"


@cache
def packages() -> dict[str, str]:
    """Return the package of each kind of benchmark, those of other distributions last; raises UserError for a name of two."""
    found = {path.parent.name: f"{GROUP}.{path.parent.name}" for path in sorted(Path(__file__).parent.glob("*/benchmark.py"))}
    for entry in sorted(entry_points(group=GROUP)):
        if found.setdefault(entry.name, entry.value) != entry.value:
            raise UserError(f"benchmark {entry.name}: {found[entry.name]} and {entry.value} both have this name")
        load_module(entry.value)
    return found


def source_modules(benchmark: str) -> dict[str, str]:
    """Return the module of each kind of source of a kind of benchmark."""
    return {name.replace("_", "-"): module for name, module in _modules_in(f"{packages()[benchmark]}.sources").items()}


def stage_modules(benchmark: str) -> dict[str, str]:
    """Return the module of each stage whose work a kind of benchmark does itself."""
    return _modules_in(f"{packages()[benchmark]}.stages")


@cache
def _modules_in(folder: str) -> dict[str, str]:
    spec = find_spec(folder)
    found = pkgutil.iter_modules(spec.submodule_search_locations or ()) if spec else ()
    return {module.name: f"{folder}.{module.name}" for module in found}


def source_module(kind: str) -> str:
    """Return the module of a kind of source; raises ValueError for an unknown kind."""
    modules = {name: module for benchmark in packages() for name, module in source_modules(benchmark).items()}
    if kind not in modules:
        raise ValueError(suggest("kind", kind, modules))
    return modules[kind]


def module_name(kind: str, part: str) -> str:
    """Return the full name of a module of a kind of benchmark."""
    return f"{packages()[kind]}.{part}"


def having(part: str) -> list[str]:
    """Return the kinds of benchmarks that have a module."""
    return [kind for kind in packages() if find_spec(module_name(kind, part))]


def load_part(kind: str, part: str) -> Any:
    """Import a module of a kind of benchmark."""
    return load_module(module_name(kind, part))


def load_module(name: str) -> Any:
    """Import a module; raises UserError where it cannot be imported."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"{name} cannot be imported: {error}") from None


def load_benchmark(kind: str) -> type[Benchmark]:
    """Import the class of a kind of benchmark."""
    found: type[Benchmark] = _class_in(module_name(kind, "benchmark"), Benchmark)
    return found


def measuring_kind(kind: str) -> str:
    """Return the kind of suite that measures attacks on models of a kind of benchmark."""
    return load_benchmark(kind).measures_attacks or kind


def load_source(kind: str) -> type[Source]:
    """Import the class of a kind of source."""
    found: type[Source] = _class_in(source_module(kind), Source)
    return found


def open_source(settings: Mapping[str, Any]) -> Source:
    """Return a source by its settings, importing only its own kind."""
    return load_source(settings["kind"]).model_validate(settings)


def _class_in(module: str, base: type) -> Any:
    defined = (value for value in vars(load_module(module)).values() if isinstance(value, type) and value.__module__ == module)
    found = next((value for value in defined if issubclass(value, base)), None)
    if found is None:
        raise UserError(f"{module} has no {base.__name__} of {base.__module__}")
    return found
