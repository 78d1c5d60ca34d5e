"""The stages that an edit of each module of this package reruns, for the page `docs/invalidation.md`."""

from __future__ import annotations

from functools import cache
from itertools import groupby

from palimpsest.attacks import list_attacks
from palimpsest.attacks import module_name as attack_module
from palimpsest.benchmarks import kinds, suites
from palimpsest.methods import list_methods
from palimpsest.methods import module_name as method_module
from palimpsest.names import WATCHING
from palimpsest.provenance.digest import PACKAGE, ROOT, code_closure, stage_module
from palimpsest.report.pages import page_modules
from palimpsest.study.rules import PUBLISHED
from palimpsest.study.stages import STAGES

# Further modules of a stage's code, by the name of the method, source, suite or attack.
Beside = dict[str, tuple[str, ...]]
PAGE = "docs/invalidation.md"
HEAD = """# What an edit reruns

Made by `python -m palimpsest.study write`; a test compares it with the code. An edit of a module reruns the stages in its row,
and those downstream if the result differs; [some edits](identity.md) rerun nothing. A stage with names in
brackets reruns only for these methods, attacks, sources or suites. `finetune of markov` is the stage `finetune` of the kind
`markov`, which has its own code.

| edited | reruns |
|---|---|
"""


def budget() -> dict[str, list[str]]:
    """Return the stages that an edit of each module reruns, in the order of the pipeline; packages without code are left out."""
    reruns: dict[str, list[str]] = {module: [] for module in _modules()}
    for stage, variants in _closures().items():
        for module in frozenset.union(*variants.values()):
            names = [name for name, closure in variants.items() if module in closure]
            reruns[module].append(stage if len(names) == len(variants) else f"{stage} ({', '.join(names)})")
    return reruns


def budget_text() -> str:
    """Return the page: modules of one folder that rerun the same stages share a row."""
    rows, stages = [], list(_closures())
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
    """Return the modules of each stage's code, one set for each method, source, suite or attack that the stage can have."""
    beside = _beside()
    closures = {}
    for stage, row in STAGES.items():
        module, others = stage_module(row.module or stage), beside.get(stage, {"": ()})
        if not row.is_brought:
            closures[stage] = {name: _closure(module, *modules) for name, modules in others.items()}
        for kind in kinds.packages():
            if own := kinds.stage_modules(kind).get(stage):
                read = _methods() if stage == "unlearn" else {"": ()}
                closures[f"{stage} of {kind}"] = {name: _closure(own, *modules) for name, modules in read.items()}
    return {**closures, "publish": {"": _closure(*PUBLISHED)}}


def _methods() -> Beside:
    return {method: (method_module(method),) for method in list_methods()}


def _beside() -> dict[str, Beside]:
    """Return the further modules of each stage's code, by the method, source, suite or attack of a job."""
    measured: Beside = {kind: (suites.module_name(kind, "suite"),) for kind in suites.SETTINGS}
    scored: Beside = {kind: tuple(suites.scoring_modules(kind)) for kind in (*kinds.having("scores"), *suites.SHARED)}
    return {
        "data": {kind: (module,) for name in kinds.packages() for kind, module in kinds.source_modules(name).items()},
        "split": {kind: (kinds.module_name(kind, "splits"),) for kind in kinds.having("splits")},
        "unlearn": _methods() | {kind: (WATCHING, *modules) for kind, modules in measured.items()},
        "select": {
            kind: (suites.module_name(kind, "suite_settings"), *scored[kind])
            for kind, suite in suites.SETTINGS.items()
            if suite.aims
        },
        "attack": {
            **{attack: (attack_module(attack),) for attack in list_attacks()},
            **{kind: measured[measuring] for kind in kinds.packages() if (measuring := kinds.measuring_kind(kind)) in measured},
            **{kind: (kinds.module_name(kind, "losses"),) for kind in kinds.having("losses")},
        },
        "evaluate": measured,
        "scores": scored,
        "external": {kind: (suites.module_name(kind, "imported"), *scored[kind]) for kind in kinds.having("imported")},
        "report": {"": tuple(page_modules())},
    }


@cache
def _closure(*modules: str) -> frozenset[str]:
    return frozenset(code_closure(*modules))


def _modules() -> list[str]:
    """Return the names of all modules; the name of a package stands for its `__init__`."""
    files = (file.relative_to(ROOT).with_suffix("").parts for file in (ROOT / PACKAGE).rglob("*.py"))
    return sorted(".".join(parts).removesuffix(".__init__") for parts in files)
