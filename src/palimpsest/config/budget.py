"""What an edit of each module of this package reruns, as the page `docs/invalidation.md` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import groupby

from palimpsest.benchmarks import kinds, suites
from palimpsest.config.rules import PUBLISHED
from palimpsest.config.stages import STAGES
from palimpsest.methods import list_methods
from palimpsest.methods import module_name as method_module
from palimpsest.provenance.digest import PACKAGE, ROOT, code_closure

PAGE = "docs/invalidation.md"
HEAD = """# What an edit reruns

Made by `python -m palimpsest.config write`; a test compares it with the code. An edit of a module reruns the stages in its row,
and all that is made of their artefacts. Edits of comments, docstrings and formatting rerun nothing. A stage with names in
brackets reruns for these methods, sources or suites alone.

| edited | reruns |
|---|---|
"""


def budget() -> dict[str, list[str]]:
    """Return what an edit of each module reruns, in the order of the pipeline; packages without code are left out."""
    reruns: dict[str, list[str]] = {module: [] for module in _modules()}
    for stage, variants in _closures().items():
        for module in frozenset.union(*variants.values()):
            names = [name for name, closure in variants.items() if module in closure]
            reruns[module].append(stage if len(names) == len(variants) else f"{stage} ({', '.join(names)})")
    return reruns


def budget_text() -> str:
    """Return the page: modules of one folder that rerun the same share a row."""
    rows, stages = [], [*STAGES, "publish"]
    for (folder, reruns), modules in groupby(budget().items(), key=lambda item: (item[0].rpartition(".")[0], item[1])):
        names = ", ".join(f"`{module.rpartition('.')[2]}`" for module, _ in modules)
        path = folder.removeprefix(PACKAGE).lstrip(".").replace(".", "/")
        rows.append(f"| {f'{path}/: ' if path else ''}{names} | {_listed(reruns, stages)} |\n")
    return HEAD + "".join(rows)


def _listed(reruns: list[str], stages: list[str]) -> str:
    if not reruns:
        return "nothing"
    return "everything" if reruns == stages else ", ".join(reruns)


def _closures() -> dict[str, dict[str, frozenset[str]]]:
    """Return the modules of each stage's code: of one with a method, source or suite those with each of them."""
    methods = {method: method_module(method) for method in list_methods()}
    beside: dict[str, Mapping[str, str]] = {
        "data": {kind: module for name in kinds.packages() for kind, module in kinds.source_modules(name).items()},
        "split": {kind: kinds.module_name(kind, "splits") for kind in ("tofu", "muse")},
        "evaluate": {kind: suites.module_name(kind, "suite") for kind in suites.SETTINGS},
        **dict.fromkeys(("unlearn", "trajectory", "markov_trajectory"), methods),
    }
    stages = {stage: (f"{PACKAGE}.stages.{row.module or stage}", beside.get(stage, {})) for stage, row in STAGES.items()}
    closures = {
        stage: {name: _closure(own, module) for name, module in others.items()} or {"": _closure(own)}
        for stage, (own, others) in stages.items()
    }
    return {**closures, "publish": {"": _closure(*PUBLISHED)}}


@cache
def _closure(*modules: str) -> frozenset[str]:
    return frozenset(code_closure(*modules))


def _modules() -> list[str]:
    """Return the modules by name; a package is called by its own name, and counts for its `__init__` and its other files."""
    files = (file.relative_to(ROOT).with_suffix("").parts for file in (ROOT / PACKAGE).rglob("*.py"))
    return sorted(".".join(parts).removesuffix(".__init__") for parts in files)
