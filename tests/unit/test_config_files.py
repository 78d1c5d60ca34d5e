"""What a config's files say before they are merged: keys that stand twice, values that YAML misreads, patterns of nothing."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from example_study import CONFIG, changed
from hypothesis import given
from hypothesis import strategies as st
from pinned import read_study
from snakemake.utils import update_config

from palimpsest.errors import UserError
from palimpsest.study.applied import check_applied
from palimpsest.study.description import resolve_config
from palimpsest.study.files import list_files, merge_layers, module_layers, read_configs, read_file, read_layers
from palimpsest.study.places import DEFAULTS
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _nothing_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(content: str | bytes) -> str:
    """Return the line that a file of a config is refused with, without its name."""
    path = Path("own.yaml")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        read_file(path)
    line = str(caught.value)
    assert line.startswith("own.yaml") and "\n" not in line
    return line.removeprefix("own.yaml")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("study: a\nsuites: {}\nstudy: b\n", ":3: duplicate key 'study', first in line 1"),
        (
            'methods:\n  "tofu/*/tiny/npo": {beta: 0.7}\n  "tofu/*/tiny/npo": {beta: 0.1}\n',
            ":3: duplicate key 'tofu/*/tiny/npo', first in line 2",
        ),
        ("a: &a {x: 1}\nb: &b {x: 2}\nc:\n  <<: *a\n  <<: *b\n", ":5: duplicate key '<<', first in line 4"),
        ('study: a\n"study": b\n', ":2: duplicate key 'study', first in line 1"),
        ('{"study": "a",\n\t"study": "b"}', ":2: duplicate key 'study', first in line 1"),
        ("blocks:\n- seeds: [010]\n", ":2: YAML reads 010 as 8 (base 8): write that number, or remove the leading zero"),
        ("blocks:\n- seeds: [08]\n", ":2: YAML reads 08 as text: write 8 for the number, or '08' in quotes for the text"),
        ("blocks:\n- seeds: [0o17]\n", ":2: YAML reads 0o17 as text: write 15 for the number, or '0o17' in quotes for the text"),
        (
            "models: {tiny: {resources: {runtime: 1:30}}}",
            ":1: YAML reads 1:30 as 90 (base 60): write that number, or '1:30' in quotes for the text",
        ),
        ("suites: {own: {tasks: [no]}}", ":1: YAML reads no as false: write false, or 'no' in quotes for the word"),
        ("suites:\n  on: {}\n", ":2: YAML reads on as true: write true, or 'on' in quotes for the word"),
        (
            "finetuning: {p: {learning_rate: 1e-3}}",
            ":1: YAML reads 1e-3 as text: write 0.001 for the number, or '1e-3' in quotes for the text",
        ),
        (
            "finetuning: {p: {learning_rate: 5e-7}}",
            ":1: YAML reads 5e-7 as text: write 5.0e-07 for the number, or '5e-7' in quotes for the text",
        ),
        ("study: 2024-01-01", ":1: YAML reads 2024-01-01 as a date: write '2024-01-01' in quotes for the text"),
        ("suites:\n  muse:\n    max_items:\n", ":3: a key or a list's dash without a value: write null for none"),
        ("blocks:\n  -\n", ":2: a key or a list's dash without a value: write null for none"),
        ('description: "\\ud83d"', ":1: \\ud83d is half of a surrogate pair, not a character"),
        ("? [a]\n: 1\n", ":1: the key is a list or a mapping; a key must be text"),
        ("", ": empty: a config is a mapping of keys to values"),
        ("# nothing\n", ": empty: a config is a mapping of keys to values"),
        ("- study: a\n", ":1: a config is a mapping of keys to values"),
        (
            "study:\n\tname: a\n",
            ":2: not YAML: while scanning for the next token, found character '\\t' that cannot start any token",
        ),
        ("study: a\nblocks: [1, 2\n", ":3: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        (
            "study: a\n---\nstudy: b\n",
            ":2: not YAML: expected a single document in the stream, but found another document",
        ),
        ("study: *a\n", ":1: not YAML: found undefined alias 'a'"),
        ("study: \x07", ": not YAML: unacceptable character #x0007: special characters are not allowed"),
        ("study: a".encode("utf-16"), ": UTF-16: save it as UTF-8"),
        (b"\x1f\x8b\x08", ": compressed by gzip: unpack it"),
        (b"study: a\ndescription: \xff", ":2: byte 14 of the line is not UTF-8"),
        (b"study: a\0", ":1: a NUL byte: the file is damaged or not UTF-8 text"),
    ],
)
def test_a_file_that_says_other_than_it_seems_is_one_line(content: str | bytes, line: str) -> None:
    assert said(content).startswith(line)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfstudy: a\r\nblocks: []\r\n",
        b"models: &m {a: {x: 1_000, y: .5, z: 0x1F, n: null, m: ~, t: TRUE, e: 1.0e-3, i: -.inf, q: '010'}}\nsources: *m\n",
        b"a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n",
        b"suites: &knot [*knot]\n",
        b'{"study": "\\ud83d\\ude00",\n\t"finetuning": {"p": {"learning_rate": 1e-3}}}',
        # What another workflow says under keys of its own.
        b"other:\n  on: yes\n  size: 010\n",
    ],
)
def test_what_means_what_it_seems_is_taken(content: bytes) -> None:
    Path("own.yaml").write_bytes(content)
    read_file(Path("own.yaml"))


def test_all_shipped_configs_are_taken() -> None:
    for path in (ROOT / "config.yaml", *ROOT.glob("config/*/*.yaml")):
        assert read_file(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


plain = st.one_of(
    st.integers(0, 99).map(lambda number: f"0{number}"),
    st.tuples(st.integers(0, 99), st.sampled_from(["e", "E"]), st.integers(-20, 20)).map(lambda parts: "{}{}{}".format(*parts)),
    st.from_regex(r"[-+]?[0-9]{1,3}(\.[0-9]{0,3})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["yes", "No", "ON", "off", "true", "False", "1:30", "12:30:45", "2024-05-06", "~", "null", ".5", "1_000"]),
)


@given(text=plain)
def test_a_number_that_is_taken_is_the_number_that_anyone_reads(text: str) -> None:
    Path("own.yaml").write_text(f"suites: {{own: [{text}]}}", encoding="utf-8")
    try:
        (value,) = read_file(Path("own.yaml"))["suites"]["own"]
    except UserError:
        return
    match value:
        case bool():
            assert str(value).lower() == text.lower()
        case int() | float():
            assert math.isclose(value, float(text))
        case _:
            assert value is None and text in ("~", "null")


def test_entries_of_the_command_line_are_looked_at_too() -> None:
    _, *layers = read_layers([], ["study=a", 'sources={"a": {"path": "b"}}', "description=a: b: c"])
    assert [layer.config for layer in layers] == [{"study": "a"}, {"sources": {"a": {"path": "b"}}}, {"description": "a: b: c"}]
    with pytest.raises(UserError, match=r"^--config methods:1: duplicate key 'a/b/c/npo', first in line 1$"):
        read_layers([], ['methods={"a/b/c/npo": {"beta": 1}, "a/b/c/npo": {}}'])
    with pytest.raises(UserError, match=r"^--config: study is given twice$"):
        read_layers([], ["study=a", "study=b"])


# Which files a config is made of.


def write(**texts: str) -> list[Path]:
    """Write a file of each name, and return their paths."""
    for name, text in texts.items():
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    return [Path(f"{name}.yaml") for name in texts]


def test_a_study_lies_on_the_defaults_and_on_what_it_extends_alone() -> None:
    """At 0.1 every study lay on the default study, whose description, results and models it then had too."""
    (config,) = write(config="study: demo\ndescription: of the demo\nresults: results\nmodels: {tiny: {}}\n")
    (own,) = write(own="study: own\n")
    assert list_files([own]) == [DEFAULTS, own]
    assert read_configs([own]) == {**read_configs([]), "study": "own"}
    assert read_configs([]) == read_file(DEFAULTS)
    write(own="extends: config.yaml\nstudy: own\n")
    assert list_files([own]) == [DEFAULTS, config, own]
    merged = read_configs([own])
    assert merged["models"] == {"tiny": {}}
    assert {key: merged[key] for key in ("extends", "study", "description", "results") if key in merged} == {"study": "own"}


def test_files_are_found_from_the_file_that_names_them_and_each_is_merged_once() -> None:
    Path("deep/er").mkdir(parents=True)
    write(config="suites: {a: 1, b: 1, c: 1}", other="extends: config.yaml\n")
    Path("deep/er/own.yaml").write_text("extends: ../../other.yaml\nsuites: {b: 2}\n")
    Path("deep/more.yaml").write_text("extends: ../config.yaml\nsuites: {c: 3}\n")
    given = [Path("deep/er/own.yaml"), Path("deep/more.yaml").absolute()]
    assert list(map(str, list_files(given)[1:])) == ["config.yaml", "other.yaml", "deep/er/own.yaml", "deep/more.yaml"]
    suites = read_configs(given)["suites"]
    assert {name: suites[name] for name in "abc"} == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        ({"own": "suites: no"}, "own.yaml:1: YAML reads no as false"),
        ({"own": "extends: gone.yaml"}, "own.yaml: extends: gone.yaml: cannot be read: No such file or directory"),
        ({"own": "extends: [a.yaml]"}, "own.yaml: extends: ['a.yaml']: name one file, relative to this one"),
        ({"own": "extends: other.yaml", "other": "suites: no"}, "own.yaml: extends: other.yaml:1: YAML reads no as false"),
        ({"own": "extends: own.yaml"}, "own.yaml: extends: own.yaml extends own.yaml: a file cannot extend itself"),
        (
            {"own": "extends: other.yaml", "other": "extends: own.yaml"},
            "own.yaml: extends: own.yaml extends other.yaml extends own.yaml: a file cannot extend itself",
        ),
    ],
)
def test_a_file_that_cannot_be_extended_is_one_line(texts: dict[str, str], line: str) -> None:
    given, *_ = write(**texts)
    with pytest.raises(UserError) as caught:
        read_configs([given])
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_a_file_is_not_merged_after_one_that_extends_it() -> None:
    base, own = write(base="study: base", own="extends: base.yaml\nstudy: own")
    assert read_configs([base, own])["study"] == "own"
    for last in (base, own):
        with pytest.raises(UserError, match=rf"^--configfile: {last} is merged before the other files: name it first, or"):
            read_configs([own, last])
    with pytest.raises(UserError, match=r"^--config: extends: only a file extends another$"):
        read_layers([], ["extends=base.yaml"])


def test_another_workflow_may_hand_over_a_config_that_extends_a_file() -> None:
    write(base="study: base\nmodels: {tiny: {}}", own="study: own\nstudy: twice")
    merged = merge_layers(module_layers({"extends": "base.yaml", "study": "own", "results": "here"}, ["base.yaml"]))
    assert (merged["study"], merged["results"], merged["models"]) == ("own", "here", {"tiny": {}})
    with pytest.raises(UserError, match="duplicate key 'study'"):
        module_layers({"study": "twice"}, ["own.yaml"])


def test_what_a_handed_over_config_extends_is_relative_to_the_file_that_names_it() -> None:
    write(base="models: {here: {}}")
    Path("deep/er").mkdir(parents=True)
    Path("deep/base.yaml").write_text("models: {there: {}}")
    Path("deep/er/host.yaml").write_text("first: {extends: ../base.yaml, study: own}\nsecond: {extends: base.yaml}\n")
    Path("host.yaml").write_text("first: {study: other}\n")
    files = ["deep/er/host.yaml", "host.yaml"]
    assert merge_layers(module_layers({"extends": "../base.yaml"}, files))["models"] == {"there": {}}
    # Written in the Snakefile.
    assert merge_layers(module_layers({"extends": "./base.yaml"}, files))["models"] == {"here": {}}


def test_no_default_names_a_model() -> None:
    """What a study does not set itself holds for every model, or has the name of a published one."""
    defaults = read_file(DEFAULTS)
    assert defaults.keys() == {"sources", "benchmarks", "references", "variants", "suites", "attacks", "published"}
    assert {pattern.split("/")[2] for pattern in defaults["variants"]} == {"*"}
    assert "tiny" not in json.dumps(defaults)


# Patterns.


@pytest.mark.parametrize(
    ("section", "pattern", "line"),
    [
        (
            "methods",
            "tofu/forget1O/tiny/npo",
            "'forget1O' is not a split; did you mean forget10? allowed: forgetNN, NN from 01 to 99",
        ),
        ("methods", "tofu/forget*/tiny/npo", "'forget*' is not a split; did you mean forget10? allowed: forgetNN, NN from 01"),
        (
            "finetuning",
            "tofu/forgett10/tiny",
            "'forgett10' is not a split; did you mean forget10? allowed: forgetNN, NN from 01 to 99",
        ),
        ("reinforcing", "tofu/forget00/tiny", "'forget00' is not a split; did you mean forget10? allowed: forgetNN"),
        ("variants", "*/retain90/*/npo", "'retain90' is not a split; allowed: forgetNN, NN from 01 to 99, or * for any"),
        ("grids", "tofu/10/tiny/npo", "'10' is not a split; "),
        ("selections", "tofu/Forget10/tiny/npo", "'Forget10' is not a split; did you mean forget10?"),
    ],
)
def test_a_split_of_a_pattern_that_can_be_none_is_one_line(section: str, pattern: str, line: str) -> None:
    value = {"grids": {"beta": [0.1]}, "variants": {"own": {}}}.get(section, {})
    with pytest.raises(UserError) as caught:
        Study({**CONFIG, section: {**CONFIG.get(section, {}), pattern: value}})
    assert str(caught.value).startswith(f'config: {section}: "{pattern}": {line}')


def laid(*layers: dict[str, Any]) -> None:
    """Check the example study with layers on top of it, as Snakemake lays them."""
    config = copy.deepcopy(CONFIG)
    paths = []
    for number, layer in enumerate(layers):
        update_config(config, copy.deepcopy(layer))
        paths.append(Path(f"layer{number}.yaml"))
        paths[-1].write_text(yaml.safe_dump(layer), encoding="utf-8")
    _, *own = read_layers(paths)
    check_applied(Study(config), own)


BLOCKS = {"blocks": CONFIG["blocks"]}
# What is right in itself, and nothing that the example study makes.
LOST: list[tuple[dict[str, Any], str]] = [
    ({"methods": {"tofu/forget05/tiny/npo": {"beta": 0.7}}}, "the nearest is tofu/forget10/tiny/npo"),
    ({"methods": {"tofu/*/tiny/idk": {"epochs": 3}}}, "the nearest is "),
    ({"finetuning": {"tofu/forget05/tiny": {"epochs": 3}}}, "the nearest is tofu/forget10/tiny"),
    ({"reinforcing": {"tofu/*/tiny": {"epochs": 3}}}, "which uses no reinforcing"),
    ({"grids": {"tofu/*/*/npo": {"beta": [0.1, 0.2]}}}, "which uses no grids"),
    ({"selections": {"tofu/*/*/npo": {}}}, "which uses no selections"),
    (
        {"published": {"tofu/forget05/tiny": [{"source": "a paper", "scores": {"npo": {"forget_quality": 0.5}}}]}},
        "the nearest is tofu/forget10/tiny",
    ),
    ({"variants": {"tofu/*/*/rkld": {"own": {"alpha": 2.0}}}}, "the nearest is tofu/forget10/tiny/"),
]


@pytest.mark.parametrize(("layer", "nearest"), LOST)
def test_a_pattern_of_the_study_itself_that_applies_to_nothing_is_one_line(layer: dict[str, Any], nearest: str) -> None:
    ((section, patterns),) = layer.items()
    for layers in ([layer], [BLOCKS, layer], [{**BLOCKS, **layer}], [{"study": "other"}, layer]):
        with pytest.raises(UserError) as caught:
            laid(*layers)
        pattern, line = next(iter(patterns)), str(caught.value)
        assert line.startswith(f"config: {section}: ") and pattern in line and nearest in line
        assert f"in layer{len(layers) - 1}.yaml: the pattern matches nothing in the study" in line


@pytest.mark.parametrize("layer", [layer for layer, _ in LOST])
def test_below_the_blocks_of_a_study_a_pattern_may_be_for_other_studies(layer: dict[str, Any]) -> None:
    laid(layer, BLOCKS)
    laid({**BLOCKS, **layer}, {"description": "another", **BLOCKS})


def test_a_variant_that_no_block_asks_for_is_one_line() -> None:
    with pytest.raises(UserError) as caught:
        laid({"variants": {"tofu/*/*/simnpo": {"beta-2.6": {"beta": 2.6}}}})
    assert str(caught.value) == (
        'config: variants: "tofu/*/*/simnpo": beta-2.6: in layer0.yaml: no block asks for this variant; did you mean beta-2.5?'
    )
    laid({"variants": {"tofu/*/*/simnpo": {"beta-2.5": {"beta": 2.6}}}})


def test_patterns_of_the_command_line_are_the_study_s_own() -> None:
    study, entries = Study(CONFIG), ['methods={"tofu/*/tiny/idk": {"epochs": "3"}}']
    with pytest.raises(UserError, match="in --config methods: the pattern matches nothing in the study"):
        check_applied(study, read_layers([], entries)[1:])


def test_a_config_that_was_written_out_by_an_older_version_may_say_more() -> None:
    Path("run_config.yaml").write_text(yaml.safe_dump({**BLOCKS, "reinforcing": {"tofu/*/tiny": {}}}), encoding="utf-8")
    check_applied(Study(CONFIG), read_layers([Path("run_config.yaml")]))


def shipped() -> list[Path]:
    return [ROOT / "config.yaml", *sorted(ROOT.glob("config/*/*.yaml"))]


@pytest.mark.parametrize("path", shipped(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_all_that_a_shipped_study_says_applies_and_so_does_all_that_it_is_written_out_as(path: Path) -> None:
    for folder in ("tofu", "austen", "documents"):
        Path("data", folder).mkdir(parents=True)
    study = Study(read_study(path))
    check_applied(study, read_layers([path]))
    again = Path("again.yaml")
    again.write_text(json.dumps(resolve_config(study)), encoding="utf-8")
    written = Study(read_configs([again]))
    check_applied(written, read_layers([again]))
    assert resolve_config(written) == resolve_config(study)


def test_half_of_a_surrogate_pair_in_a_config_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^config: description: \\ud800 is half of a surrogate pair, not a character$"):
        Study(changed(("description",), "a\ud800b"))
    task = {"task": "own", "doc_to_text": "\udfff", "metadata": [{"\ud801": 1}]}
    with pytest.raises(UserError, match=r"suites: lm-eval: tasks\[0\]: doc_to_text: \\udfff is half of a surrogate pair"):
        Study(changed(("suites", "lm-eval", "tasks"), [task]))
