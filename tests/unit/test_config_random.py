"""Random mistakes in real configs: each is refused with one line and exit code 2, or is none and gives a whole study."""

from __future__ import annotations

import contextlib
import copy
import datetime
import io
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from checkout import Checkout
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palimpsest.errors import UserError
from palimpsest.provenance.canonical import canonical_json
from palimpsest.study.applied import open_study
from palimpsest.study.description import describe_study, resolve_config
from palimpsest.study.files import read_configs
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]
Keys = tuple[Any, ...]

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 10**400, -(10**400), 0.0, -0.5, 1e-300, 1e308),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        " ",
        "1e-5",
        "nan",
        "null",
        "*",
        "a/b",
        "../x",
        "/etc/passwd",
        ".",
        "..",
        "-x",
    ),
    *("two\nlines", "npo\n", "carriage\rreturn", "next\x85line", "tab\t", "\x00", "\u2028", "größe", "模型", "🙂", "\ud800"),
    *("x" * 20_000, "{data}", "{{", "%s", "<script>", "tiny", "tofu", "npo", "simnpo", "grid", "selected", "default", "plain"),
    *("forget10", "forget", "request2", "request99999999999999999999", "scale2", "original", "world", "hub", "markov", "*/*/*"),
    *(
        [],
        {},
        [[]],
        [None],
        [{}],
        {"kind": "tofu"},
        {"kind": None},
        {"kind": []},
        {None: 1},
        {1: 1},
        {"": {}},
        {"a\nb": 1},
        {"../x": {}},
    ),
    *(datetime.date(2024, 1, 1), b"bytes", {"set"}, ("tuple",), [1, "a", None], {"*/*/*/*": {}}, {"*/*/*": {"epochs": 1}}),
]


@cache
def configs() -> dict[str, dict[str, Any]]:
    """The real configs whose data need not lie in a folder."""
    paths = (ROOT / "config.yaml", *sorted(ROOT.glob("config/studies/*.yaml")), *sorted(ROOT.glob("config/test/*.yaml")))
    found = {path.name: read_configs([path]) for path in paths}
    return {name: config for name, config in found.items() if accepted(config)}


def accepted(config: dict[str, Any]) -> bool:
    try:
        Study(config)
    except UserError:
        return False
    return True


def nodes(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    """Yield the way to every value within a config."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*keys, key)
        yield from nodes(inner, (*keys, key))


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A real config with one to three mistakes, or with changes that are none."""
    config = copy.deepcopy(draw(st.sampled_from(list(configs().values()))))
    for _ in range(draw(st.integers(1, 3))):
        places = list(nodes(config))
        if not places:
            break
        # As many of each section: blocks and suites are small, methods many.
        section = draw(st.sampled_from(sorted({str(keys[0]) for keys in places})))
        *way, last = draw(st.sampled_from([keys for keys in places if str(keys[0]) == section]))
        holder: Any = config
        for key in way:
            holder = holder[key]
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        match draw(st.sampled_from(["set", "delete", "add", "rename", "swap", "nudge"])):
            case "set":
                holder[last] = odd
            case "delete":
                del holder[last]
            case "add" if isinstance(holder, dict):
                with contextlib.suppress(TypeError):
                    holder[odd] = copy.deepcopy(holder[last])
            case "add":
                holder.append(odd)
            case "rename" if isinstance(holder, dict):
                with contextlib.suppress(TypeError):
                    holder[draw(st.sampled_from([odd, f"{last}x", str(last)[:-1]]))] = holder.pop(last)
            case "swap":
                holder[last] = copy.deepcopy(_at(config, draw(st.sampled_from(places))))
            case _ if isinstance(holder[last], str):
                holder[last] = draw(st.sampled_from([holder[last] + "x", holder[last][1:], holder[last] + "\n", [holder[last]]]))
            case _ if isinstance(holder[last], int | float) and abs(holder[last]) < 1e300:
                holder[last] = draw(st.sampled_from([-holder[last], holder[last] * 1000, str(holder[last]), holder[last] + 0.5]))
    return config


def _at(config: Any, keys: Keys) -> Any:
    for key in keys:
        try:
            config = config[key]
        except (KeyError, IndexError, TypeError):
            return None
    return config


def check(config: dict[str, Any]) -> None:
    """A config is refused with one line and exit code 2, or all that is said and planned of its study can be worked out."""
    said, code, study = io.StringIO(), None, None
    try:
        with contextlib.redirect_stderr(said):
            study = open_study(config)
    except SystemExit as left:
        code = left.code
    line = said.getvalue()
    if study is None:
        assert code == 2
        assert line.startswith("palimpsest: config") and line.endswith("\n") and len(line.splitlines()) == 1, line
        assert len(line) < 2100, line
        return
    assert line == ""
    canonical_json([describe_study(study), resolve_config(study)])
    for node in Artefacts(study).nodes.values():
        path = study.path(node.path)
        assert path == os.path.normpath(path) and path.startswith(f"{study.results}/"), path


@pytest.fixture(autouse=True)
def _nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


FEW = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@FEW
@given(config=mutated())
def test_a_random_mistake_is_one_line(config: dict[str, Any]) -> None:
    check(config)


@pytest.mark.faults
@settings(FEW, max_examples=500, derandomize=False, print_blob=True)
@given(config=mutated())
def test_five_hundred_random_mistakes_are_one_line_each(config: dict[str, Any]) -> None:
    check(config)


@pytest.mark.parametrize("section", ["suites", "blocks", "methods", "sources", "published"])
def test_a_config_that_holds_itself_is_one_line(section: str) -> None:
    config = copy.deepcopy(configs()["tiny.yaml"])
    knot: dict[str, Any] = {"kind": "lm-eval"}
    knot["tasks"] = [knot]
    config[section] = {"knot": knot} if section != "blocks" else [knot]
    check(config)
    if section == "suites":
        config["suites"] = {**configs()["tiny.yaml"]["suites"], "knot": knot}
        check(config)


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ("models: {tiny: {archtecture: {width: 8}}}", "models: tiny: unknown key 'archtecture'"),
        ('study: "two\\nlines"', "study: 'two\\nlines' is not a name"),
        ("blocks: &knot [*knot]", "blocks[0]: [[...]] should be a mapping"),
    ],
)
def test_snakemake_says_it_too(checkout: Checkout, overlay: str, said: str) -> None:
    """Through the command line, after two files of config were laid over each other."""
    done = checkout.snakemake("--dry-run", *checkout.overlay(overlay))
    assert done.returncode == 2, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "palimpsest" in line]
    assert line.startswith(f"palimpsest: config: {said}")
    assert "Traceback" not in done.stdout


def test_there_is_something_to_make_mistakes_in() -> None:
    assert {"config.yaml", "tiny.yaml", "corpus.yaml", "markov.yaml", "tofu-forget05-llama2.yaml"} <= configs().keys()
