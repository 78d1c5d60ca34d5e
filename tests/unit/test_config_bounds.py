"""Every number of a config at the ends and beyond: each value is refused in one line, or is listed here with why it is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from example_study import changed
from pydantic import ValidationError

from palimpsest.errors import UserError
from palimpsest.methods import list_methods, load_method
from palimpsest.settings import Settings
from palimpsest.study.docs import make_schema
from palimpsest.study.messages import explain
from palimpsest.study.models import MethodSettings
from palimpsest.study.study import Study

INTEGERS: dict[str, Any] = {
    **{"0": 0, "-1": -1, "1e9": 10**9, "1.5": 1.5, "1e-300": 1e-300, "nan": math.nan, "inf": math.inf, "-inf": -math.inf},
    **{"true": True, "'1'": "1"},
}
FLOATS = {**INTEGERS, "0": 0.0, "-1": -1.0, "1e9": 1e9}
# A number that fits nowhere else; of a real number it is one like others.
del FLOATS["1.5"]
ZERO, TINY, MINUS, LARGE = "0", "1e-300", "-1", "1e9"
# What is taken, by the name of the field, with its settings where others have a field of this name, and why.
TAKEN = {
    # None of it, a count that may be none.
    "fact_lessons": {ZERO},
    "gpu": {ZERO},
    "base_authors": {ZERO},
    "skip_authors": {ZERO},
    "layer": {ZERO},
    # The first decoder layer.
    "LoraSettings.layers": {ZERO},
    # A share that may be none, to which so small a number is equal.
    "dropout": {ZERO, TINY},
    "long_answers": {ZERO, TINY},
    "keep": {ZERO, TINY},
    # Off, or as good as off; a training needs one weight, which the whole study is asked for.
    "forget_weight": {ZERO, TINY},
    "retain_weight": {ZERO, TINY},
    "weight_decay": {ZERO, TINY},
    # The first draw.
    "draw": {ZERO},
    "warmup_epochs": {ZERO, TINY},
    # RMU's formula holds for any length of the vector, SimNPO's for any margin.
    "steering": {ZERO, TINY},
    "gamma": {ZERO, TINY, MINUS},
    # Any seed below 2**32.
    "seed": {ZERO, LARGE},
    "seeds": {ZERO, LARGE},
    "base_seed": {ZERO, LARGE},
    "holdout_authors": {ZERO},
    # Without its exponents a loss is another known one, and a bound of 0 is never reached.
    **{name: {ZERO, TINY} for name in ("alpha", "beta1", "beta2", "epsilon")},
    "dual_warmup": {ZERO},
    "retries": {ZERO},
    # Numbers of papers, printed and never computed with.
    "scores": {ZERO, TINY, MINUS, LARGE},
    # Values of settings, which are looked at as such: below.
    "grids": {ZERO, TINY, MINUS, LARGE, "true", "'1'", "1.5"},
}
UNBOUNDED = {"scores", "grids"}
# The least that a class asks for beside its kind.
REQUIRED: dict[str, dict[str, Any]] = {
    "Reference": {"random_share": 0.1},
    "FolderSource": {"path": "x"},
    "WmdpHubSource": {"subject": "bio"},
    "WmdpFolderSource": {"path": "x"},
    "DocumentsSource": {"path": "x"},
    "RwkuFolderSource": {"path": "x"},
    "LocalJudge": {"model": "x"},
    "ApiJudge": {"url": "http://x", "model": "x"},
    "LmEvalSuite": {"tasks": [{"task": "own"}]},
    "Relearn": {"select": "random"},
    "MuseBenchmark": {"source": "x"},
    "MarkovBenchmark": {"splits": {"x": {}}},
    "ChainModelEntry": {"architecture": "gpt2"},
    "PretrainedEntry": {"name": "x"},
    "Published": {"source": "x", "scores": {"npo": {"forget_quality": 0.5}}},
    "PackagedEntry": {
        "package": "x",
        "file": "x.gguf",
        "sha256": "0" * 64,
        "requirement": "x==1",
    },
    "Block": {"benchmark": "x", "splits": ["x"], "models": ["x"], "seeds": [0]},
    "Config": {
        "study": "x",
        "results": "x",
        "blocks": [{"benchmark": "x", "splits": ["x"], "models": ["x"], "seeds": [0]}],
    },
}
Wrap = Callable[[Any], Any]


def numbers(node: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Wrap]]:
    """Yield the schemas of the numbers in a field, each with what makes a value of the field of one number."""
    if node.get("type") in ("number", "integer"):
        yield node, lambda value: value
    for choice in (*node.get("anyOf", []), *node.get("oneOf", [])):
        yield from numbers(choice)
    if "items" in node:
        for leaf, wrap in numbers(node["items"]):
            yield leaf, lambda value, wrap=wrap: [wrap(value)]  # type: ignore[misc]
    names = {name.strip("^$()").split("|")[0]: inner for name, inner in node.get("patternProperties", {}).items()}
    if isinstance(inner := node.get("additionalProperties"), dict):
        names["x"] = inner
    for name, inner in names.items():
        for leaf, wrap in numbers(inner):
            yield leaf, lambda value, name=name, wrap=wrap: {name: wrap(value)}  # type: ignore[misc]


@cache
def fields() -> list[tuple[str, str, dict[str, Any], Wrap]]:
    """Return every number of the config's classes and of the methods', whose settings the config's class does not check."""
    schema, methods = make_schema(), [load_method(method).model_json_schema() for method in list_methods()]
    own = {name for node in methods for name in node["properties"]}
    nodes = {"Config": schema, **schema["$defs"], **{node["title"]: node for node in methods}}
    return [
        (name, field, leaf, wrap)
        for name, node in nodes.items()
        for field, value in node["properties"].items()
        if not (name == "MethodSettings" and field in own)
        for leaf, wrap in numbers(value)
    ]


def settings_class(name: str) -> type[Settings]:
    """Return a class of settings of the config by its name; a spec of a stage or of the report may have the same one."""
    queue: list[type[Settings]] = [Settings]
    while (kind := queue.pop()).__name__ != name or kind.__module__.startswith(("palimpsest.report", "palimpsest.stages")):
        queue += kind.__subclasses__()
    return kind


def least(kind: type[Settings]) -> dict[str, Any]:
    """Return the least that a class asks for."""
    kinds = get_args(kind.model_fields["kind"].annotation) if "kind" in kind.model_fields else ()
    return {**({"kind": kinds[0]} if kinds else {}), **REQUIRED.get(kind.__name__, {})}


def said_of(name: str, field: str, value: Any) -> str | None:
    """Return the line with which a class refuses a value of a field; None where it takes it."""
    kind = settings_class(name)
    raw = {**least(kind), field: value}
    try:
        kind.model_validate(raw)
    except ValidationError as error:
        return explain(error, raw, kind.model_json_schema())
    return None


def test_numbers_are_found_wherever_a_field_has_them() -> None:
    found = {(name, field) for name, field, _, _ in fields()}
    for known in (
        ("Block", "seeds"),
        ("TofuSuite", "max_items"),
        ("LoraSettings", "alpha"),
        ("MethodSettings", "epochs"),
        ("SimNPO", "gamma"),
    ):
        assert known in found
    assert ("Published", "scores") in found and ("Config", "grids") in found


def values_of(leaf: dict[str, Any]) -> dict[str, Any]:
    return INTEGERS if leaf["type"] == "integer" else FLOATS


@pytest.mark.parametrize(("name", "field", "leaf", "wrap"), fields(), ids=lambda part: part if isinstance(part, str) else "")
def test_a_number_beyond_its_bounds_is_one_line(name: str, field: str, leaf: dict[str, Any], wrap: Wrap) -> None:
    settings_class(name).model_validate(least(settings_class(name)))
    for text, value in values_of(leaf).items():
        line = said_of(name, field, wrap(value))
        if line is None:
            assert text in TAKEN.get(f"{name}.{field}", TAKEN.get(field, ())), f"{name}.{field} takes {text}"
        else:
            assert line.startswith(f"config: {field}") and len(line.splitlines()) == 1, line
    # A number out of a few has no bounds.
    if field not in UNBOUNDED and "enum" not in leaf:
        for ends in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            assert any(math.isfinite(leaf.get(end, math.inf)) for end in ends), f"{name}.{field}: no {ends[0]}"


def test_each_that_is_listed_as_taken_is_taken() -> None:
    for key, texts in TAKEN.items():
        of_key = [(name, field, leaf, wrap) for name, field, leaf, wrap in fields() if key in (field, f"{name}.{field}")]
        for text in texts:
            given = [(name, field, wrap(values_of(leaf)[text])) for name, field, leaf, wrap in of_key if text in values_of(leaf)]
            said = [said_of(*each) for each in given]
            assert None in said, f"{key}: {text}: {said}"


OWN = [(method, name) for method in list_methods() for name in load_method(method).model_fields]


@pytest.mark.parametrize(("method", "setting"), [*OWN, ("npo", "learning_rate"), ("npo", "epochs")])
def test_values_of_grids_and_variants_have_the_bounds_of_the_setting(
    method: str, setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pattern = f"tofu/*/*/{method}"
    for value in (INTEGERS if setting in ("layer", "epochs") else FLOATS).values():
        try:
            (load_method(method) if (method, setting) in OWN else MethodSettings).model_validate({setting: value})
        except ValidationError:
            entries = {"methods": {setting: value}, "variants": {"own": {setting: value}}, "grids": {setting: [value]}}
        else:
            continue
        if not load_method(method).is_trained:
            del entries["grids"]
        for section, entry in entries.items():
            with pytest.raises(UserError) as caught:
                Study(changed((section,), {pattern: entry}))
            line = str(caught.value)
            assert line.startswith(f"config: {section}: ") and setting in line and len(line.splitlines()) == 1


def test_the_schema_shows_the_bounds_of_every_method() -> None:
    shown = make_schema()["$defs"]["MethodSettings"]["properties"]
    for method, setting in OWN:
        own = load_method(method).model_json_schema()["properties"][setting]
        kinds = shown[setting].get("anyOf", [shown[setting]])
        bounds = [{end: kind[end] for end in ("minimum", "maximum") if end in kind} for kind in kinds]
        assert {end: own[end] for end in ("minimum", "maximum") if end in own} in bounds
        assert f"{method} (default {own['default']})" in shown[setting]["description"]
