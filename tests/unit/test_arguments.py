"""Every argument of every command, and every environment variable of ours: what makes no sense is one line and exit code 2."""

import argparse
import importlib
import io
import json
import math
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_study import CONFIG
from run_example import Results, identity, suite_rows

from palimpsest import cli, environment, launch
from palimpsest.arguments import filled, filled_path, positive, share, whole
from palimpsest.errors import UserError
from palimpsest.leases import lease
from palimpsest.output import unread_output
from palimpsest.study.applied import open_study

ROOT = Path(__file__).resolve().parents[2]
WRONG = ("0", "-1", "nan", "inf", "-inf", "1e9", "1e400", "", " ", "text", "1,5", "0x10")
PARSED = {
    "palimpsest": cli.main,
    "palimpsest.launch": launch.main,
    "palimpsest.study": lambda: importlib.import_module("palimpsest.study.__main__").main(),
    "palimpsest.study.publish": lambda: sys.exit(importlib.import_module("palimpsest.study.publish").main()),
    "palimpsest.report.cost": lambda: importlib.import_module("palimpsest.report.cost").main(),
    "palimpsest.stages": lambda: importlib.import_module("palimpsest.contract.command").parse_stage("scores"),
    **{
        f"scripts/{name}": lambda name=name: runpy.run_path(str(ROOT / "scripts" / f"{name}.py"), run_name="__main__")
        for name in ("audit_dependencies", "benchmark", "gpu_check", "images", "lock_environments", "plan", "scale")
    },
}


class Caught(Exception):
    """Where a command reads its arguments."""


@pytest.fixture(scope="module")
def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command, those of its parts included, by name."""
    found: dict[str, argparse.ArgumentParser] = {}

    def catch(parser: argparse.ArgumentParser, *_: Any) -> None:
        found.update((each.prog, each) for each in below(parser))
        raise Caught

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", catch)
        for name, command in PARSED.items():
            before = len(found)
            with pytest.raises(Caught):
                command()
            assert len(found) > before, name
    return found


def below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and the parsers of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from below(inner)


def test_every_script_and_module_with_a_command_line_is_swept() -> None:
    here = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert here == {name.partition("/")[2] for name in PARSED if "/" in name}
    modules = {
        path for path in (ROOT / "src").rglob("*.py") if "ArgumentParser(" in path.read_text() or " Parser(" in path.read_text()
    }
    named = {f"{path.relative_to(ROOT / 'src').with_suffix('')}".replace("/", ".") for path in modules}
    assert named == {
        "palimpsest.arguments",
        "palimpsest.cli",
        "palimpsest.study.__main__",
        "palimpsest.study.publish",
        "palimpsest.launch",
        "palimpsest.report.cost",
        "palimpsest.contract.command",
    }


def test_every_number_has_a_range_and_no_path_is_empty(parsers: dict[str, argparse.ArgumentParser]) -> None:
    bare = {
        f"{prog} {action.dest}"
        for prog, parser in parsers.items()
        for action in parser._actions
        if action.type in (int, float, Path) and prog != "audit_dependencies.py"
    }
    assert bare == set()


def test_a_wrong_number_is_one_line(parsers: dict[str, argparse.ArgumentParser], capsys: pytest.CaptureFixture[str]) -> None:
    swept = 0
    for prog, parser in parsers.items():
        for action in parser._actions:
            kind = action.type
            if kind not in (positive, share) and getattr(kind, "__qualname__", "") != "whole.<locals>.read":
                continue
            swept += 1
            for text in WRONG:
                try:
                    parsed = parser._get_values(action, [text])
                except argparse.ArgumentError as error:
                    with pytest.raises(SystemExit) as stop:
                        parser.error(str(error))
                    assert stop.value.code == 2
                    line = capsys.readouterr().err
                    assert line.startswith(f"{prog}: error: argument ") and line.count("\n") == 1, line
                    continue
                for number in parsed if isinstance(parsed, list) else [parsed]:
                    assert math.isfinite(number) and number >= 0, (prog, action.dest, text)
                    assert kind is not share or number <= 1
    assert swept > 15


@pytest.mark.parametrize("script", [name for name in PARSED if "/" in name])
def test_a_script_that_is_asked_for_what_it_does_not_know_does_nothing(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--no-such-option"])
    with pytest.raises(SystemExit) as stop:
        PARSED[script]()
    assert stop.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (whole(0), {"0": 0, "7": 7, "1_000": 1000}, ["-1", "1.0", "1e3", "9" * 30]),
        (whole(1), {"1": 1, " 7 ": 7}, ["0", "-0", "two"]),
        (positive, {"0.5": 0.5, "1e9": 1e9}, ["0", "-0.0", "1e-400", "1e300", "NaN", "Infinity"]),
        (share, {"1": 1.0, "0.35": 0.35}, ["0", "1.0000001", "35"]),
        (filled, {"a": "a"}, ["", "\n"]),
        (filled_path, {"a/b": Path("a/b"), ".": Path()}, ["", "  "]),
    ],
)
def test_kinds_of_arguments(kind: Callable[[str], Any], good: dict[str, Any], bad: Sequence[str]) -> None:
    assert {text: kind(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            kind(text)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that is refused."""
    try:
        code = cli.main(arguments)
    except SystemExit as stop:
        code = int(str(stop.code))
    output = capsys.readouterr()
    assert (code, output.out) == (2, ""), (arguments, output)
    assert output.err.count("\n") == 1, output.err
    return output.err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("plan --gpus 0", "argument --gpus: '0': must be a whole number, at least 1"),
        ("plan --gpus 1e9", "argument --gpus: '1e9': must be a whole number, at least 1"),
        ("plan --parameters -1", "argument --parameters: '-1': must be a number above 0"),
        ("plan --generated nan", "argument --generated: 'nan': must be a number above 0"),
        ("plan --utilisation 0", "argument --utilisation: '0': must be a number above 0 and at most 1"),
        ("plan --gpu-memory 80 0", "argument --gpu-memory: '0': must be a number above 0"),
        ("plan --gpus 2 --gpus 4", "argument --gpus: given twice"),
        # The first list of files would be dropped.
        ("plan --configfile a --configfile b", "argument --configfile: given twice"),
        ("plan --util 0.5", "unrecognized arguments: --util 0.5"),
        ("audit rerun here --sample 0", "argument --sample: '0': must be a whole number, at least 1"),
        # Python takes the seeds -1 and 1 for one.
        ("audit rerun here --seed -1", "argument --seed: '-1': must be a whole number, at least 0"),
        ("audit crate here out --largest -1", "argument --largest: '-1': must be a whole number, at least 0"),
        ("audit explain x --where seed=0 seed=1", "--where: seed is given twice"),
        ("audit explain x --where seed", "argument --where: 'seed' is not COLUMN=VALUE"),
        ("score tofu", "the following arguments are required: --log"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_argument_says_what_is_allowed(capsys: pytest.CaptureFixture[str], arguments: str, line: str) -> None:
    assert line in refused(capsys, *arguments.split())


def test_the_help_of_every_command_ends_with_examples_that_it_takes() -> None:
    parsers = list(below(cli.make_parser()))
    assert len(parsers) > 15
    for parser in parsers:
        _, _, said = parser.format_help().partition("\nexamples:\n")
        examples = said.splitlines()
        assert examples, parser.prog
        for example in examples:
            program, *arguments = example.split()
            assert program == "palimpsest" and example.strip().startswith(parser.prog)
            # The parser of the example is that of the command or of one below it.
            args = cli.make_parser().parse_args(arguments)
            assert args.prog.startswith(parser.prog), example


def test_a_line_break_in_an_argument_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert r"'a\nb'" in refused(capsys, "plan", "--gpus", "a\nb")
    assert r"a\nb: cannot be read: No such file" in refused(capsys, "plan", "--configfile", "a\nb")


@pytest.mark.parametrize("value", ["1e-18", "0.001", "1", "1e18"])
def test_whatever_is_allowed_is_planned_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(ROOT)
    for option in ("--parameters", "--teraflops", "--generated", "--gpu-memory", "--utilisation"):
        if option != "--utilisation" or float(value) <= 1:
            assert cli.main(["plan", option, value]) == 0
            said = capsys.readouterr().out
            assert not {"nan", "inf"} & set(re.findall(r"\w+", said)), option


PLACES = {
    "missing": lambda folder: folder / "none",
    "a folder": lambda folder: folder,
    "binary": lambda folder: written(folder / "binary", bytes(range(256))),
    "binary.parquet": lambda folder: written(folder / "binary.parquet", bytes(range(256))),
    "binary.yaml": lambda folder: written(folder / "binary.yaml", b"\0\0\0"),
    "empty": lambda folder: written(folder / "empty", b""),
    "a list": lambda folder: written(folder / "list.yaml", b"[1, 2]"),
    "a text": lambda folder: written(folder / "text.yaml", b"once upon a time"),
    "deep": lambda folder: written(folder / "deep.yaml", b"[" * 5000),
    "below a file": lambda folder: written(folder / "file", b"") / "below",
    "too long": lambda folder: folder / ("a" * 300),
}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results, of one evaluated model."""
    study = Results(tmp_path_factory.mktemp("study") / "results")
    study.evaluate(identity("original", ""), suite_rows(np.random.default_rng(1), 0.1))
    (study.root / "run_config.yaml").write_text("study: tiny\n", encoding="utf-8")
    return study.root


@pytest.mark.parametrize("place", PLACES)
def test_a_path_to_what_is_not_wanted_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, results: Path, place: str
) -> None:
    monkeypatch.chdir(ROOT)
    given, log, here = str(PLACES[place](tmp_path)), str(results / "tofu/tiny/forget05/seed0/original/eval/tofu"), str(results)
    commands = [
        ["score", "tofu", "--log", given],
        ["score", "tofu", "--log", log, "--retrain", given],
        ["pin", given],
        ["plan", "--configfile", given],
        ["plan", "--configfile", "config/test/tiny.yaml", given],
        *(["audit", command, given] for command in ("verify", "rerun", "freeze")),
        *(["audit", command, here, "--configfile", given] for command in ("verify", "rerun", "freeze")),
        ["audit", "check", given, here],
        ["audit", "compare", given, here],
        ["audit", "compare", here, given],
        ["audit", "explain", "forget_quality", given],
        ["audit", "crate", given, str(tmp_path / "crate")],
    ]
    if place != "missing":
        commands += [["audit", "crate", here, given]]
    if place != "a folder":
        commands += [["audit", "verify", here, "--out", given]]
    if place in ("a folder", "below a file"):
        commands += [["audit", "freeze", here, "--out", given]]
    for command in commands:
        line = refused(capsys, *command)
        assert line.startswith("palimpsest ") and "Traceback" not in line, command


@pytest.mark.parametrize("place", ["binary", "binary.yaml", "empty", "a list", "a text", "deep"])
def test_a_broken_config_beside_results_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, place: str) -> None:
    study = Results(tmp_path / "results")
    study.evaluate(identity("original", ""), suite_rows(np.random.default_rng(1), 0.1))
    PLACES[place](tmp_path).rename(study.root / "run_config.yaml")
    here = str(study.root)
    for command in (["verify", here], ["compare", here, here], ["crate", here, str(tmp_path / "crate")]):
        assert re.search(r"run_config\.yaml(:1)?: (a NUL byte|empty|a config is|not YAML)", refused(capsys, "audit", *command))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a table, or truncated: "),
        (bytes(range(256)), "not a table, or truncated: "),
        (b'metric,value\n"forget', "not a table, or truncated: "),
        (b"a,b\n1,2,3\n4,5,6,7\n", "not a table, or truncated: "),
        (b"metric,value\nforget_quality,1\n", "not a summary: it has no column 'benchmark'"),
    ],
)
def test_a_damaged_summary_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "summary").mkdir()
    written(tmp_path / "summary" / "summary.csv", content)
    assert f"summary.csv: {says}" in refused(capsys, "audit", "explain", "forget_quality", str(tmp_path))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--spec", ""], "--spec is not JSON"),
        (["--spec", "[1"], "--spec is not JSON"),
        (["--spec", "[1]"], "spec: "),
        (["--spec", "NaN"], "spec: "),
        (["--spec", "@none.json"], "--spec: none.json: "),
        (["--spec", "@binary"], "--spec: binary: "),
        (["--in", "x"], "'x' is not NAME=MANIFEST"),
        (["--in", "=x"], "'=x' is not NAME=MANIFEST"),
        (["--in", "x="], "'x=' is not NAME=MANIFEST"),
        (["--out", ""], "argument --out: empty"),
        (["--out", "a/manifest.json", "--out", "b/manifest.json"], "argument --out: given twice"),
        (["--scratch", ""], "argument --scratch: empty"),
        (["--code", "abc"], "the code of this stage was edited after Snakemake planned the job"),
        (["--code", "abc+palimpsest.gone"], "the code of this stage was edited after Snakemake planned the job"),
        (["--in", "eval=none/manifest.json"], "none/manifest.json"),
        (["--in", "eval={folder}"], "{folder}"),
        (["--in", "eval={folder}/binary"], "binary"),
        (["--out", "out"], "--out must name a manifest.json"),
    ],
)
def test_a_stage_says_a_wrong_argument_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: list[str], says: str
) -> None:
    from palimpsest.contract.job import run_stage
    from palimpsest.stages import scores

    written(tmp_path / "binary", bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    change = [text.format(folder=tmp_path) if "folder" in text else text for text in change]
    run = {"benchmark": "a", "split": "b", "model": "c", "seed": 0}
    spec = json.dumps({"run": run, "suites": {}})
    given = {"--spec": spec, "--out": "out/manifest.json"}
    others = [text for name, value in given.items() if name not in change for text in (name, value)]
    monkeypatch.setattr(sys, "argv", ["scores", *others, *change])
    with pytest.raises(SystemExit) as stop:
        run_stage("scores", scores.Spec, scores.work)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert says.format(folder=tmp_path) in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resolved", "{"], "argument json: not JSON"),
        (["resolved", "[1]"], "argument json: a config must be an object"),
        (["measured", "{}"], "config: the key 'study' is missing"),
        ([], "the following arguments are required: command"),
    ],
)
def test_the_config_commands_say_a_wrong_argument_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["config", *arguments])
    with pytest.raises(SystemExit) as stop:
        PARSED["palimpsest.study.publish"]()
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1


@pytest.mark.parametrize("place", PLACES)
def test_what_a_study_cost_wants_a_table_and_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    from palimpsest.report import cost

    given, table = PLACES[place](tmp_path), written(tmp_path / "summary.csv", b"metric,value\n")
    spec = {"study": "a", "folder": str(tmp_path), "jobs": [{"stage": "data", "benchmark": "b", "file": "data.json"}]}
    written(tmp_path / "data.json", b'{"seconds": 1}')
    for summary, out in ((given, tmp_path), (table, given)):
        if place == "a folder" and out == given:
            continue
        monkeypatch.setattr(sys, "argv", ["cost", "--spec", json.dumps(spec), "--summary", str(summary), "--out", str(out)])
        assert cost.main() == 2
        line = capsys.readouterr().err
        assert line.startswith("palimpsest cost: ") and line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--gpu", "-1", "json"], "argument --gpu: '-1': must be a whole number, at least 0"),
        (["--gpu", "two", "json"], "argument --gpu: 'two': must be a whole number, at least 0"),
        (["--processes", "0", "json"], "argument --processes: '0': must be a whole number, at least 1"),
        (["palimpsest.stages.none"], "'palimpsest.stages.none': there is no such module"),
        (["none.at.all"], "'none.at.all': there is no such module"),
        ([""], "'': there is no such module"),
        ([], "the following arguments are required: module"),
    ],
)
def test_the_launcher_says_a_wrong_argument_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["launch", *arguments])
    with pytest.raises(SystemExit) as stop:
        launch.main()
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PALIMPSEST_CHECKPOINT_SECONDS", ["", "-1", "nan", "inf", "5m", "300 s"]),
        ("PALIMPSEST_SCRATCH", ["", " ", f"{__file__}/below", __file__]),
        ("PALIMPSEST_GPUS", ["", " ", "-1", "nan", "one", "0,,1", "0;1", "0,0", "1.5", "0, 1,"]),
        ("PALIMPSEST_COMMIT", ["abc", "HEAD", "c" * 40 + "-edited"]),
        ("PALIMPSEST_CHECKPOINT_SECOND", ["300"]),
        ("PALIMPSEST_GPU", ["0"]),
    ],
)
def test_an_environment_variable_that_says_nothing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, values: list[str]
) -> None:
    for value in values:
        with pytest.raises(UserError, match=f"^{name}"):
            environment.check({name: value})
    monkeypatch.setenv(name, values[-1])
    monkeypatch.setattr(sys, "argv", ["launch", "json"])
    assert launch.main() == 2
    line = capsys.readouterr().err
    assert line.startswith(f"palimpsest: {name}") and line.count("\n") == 1
    # Snakemake says the same when it reads the workflow, before any job.
    with pytest.raises(SystemExit, match=r"^2$"):
        open_study(CONFIG)
    assert capsys.readouterr().err == line


def test_environment_variables_are_read() -> None:
    good = {"PALIMPSEST_CHECKPOINT_SECONDS": "0", "PALIMPSEST_SCRATCH": "here", "PALIMPSEST_GPUS": "0, GPU-7a/1,MIG-ab"}
    environment.check({**good, "PALIMPSEST_COMMIT": "c" * 40 + "-dirty", "OTHER": ""})
    environment.check({"PALIMPSEST_COMMIT": ""})
    assert environment.checkpoint_seconds(good) == 0
    assert environment.scratch_folder(good) == Path("here")
    assert environment.gpus(good) == ["0", "GPU-7a/1", "MIG-ab"]
    with pytest.raises(UserError, match="did you mean PALIMPSEST_CHECKPOINT_SECONDS"):
        environment.check({"PALIMPSEST_CHECKPOINT_SECOND": "5"})
    with pytest.raises(UserError, match="names a GPU twice"):
        lease(1, {"CUDA_VISIBLE_DEVICES": "1,1"})


def test_every_variable_of_ours_is_known() -> None:
    """Whatever the repository calls PALIMPSEST_X is read by someone, so that `check` may refuse all others."""
    named: set[str] = set()
    for folder in ("src", "workflow", "containers", "profiles", "scripts", "tests"):
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".smk", ".yaml", ".sh") or file.name in ("apptainer", "Snakefile"):
                named |= set(re.findall(r"\bPALIMPSEST_[A-Z_]+\b", file.read_text(encoding="utf-8")))
    made_up = {"PALIMPSEST_CHECKPOINT_SECOND", "PALIMPSEST_GPU", "PALIMPSEST_X", "PALIMPSEST_"}
    sensible = {
        "PALIMPSEST_CHECKPOINT_SECONDS": "1",
        "PALIMPSEST_GPUS": "0",
        "PALIMPSEST_SCRATCH": "here",
        "PALIMPSEST_STORE": "here",
    }
    assert sensible.keys() < named
    environment.check({name: sensible.get(name, "") for name in named - made_up})


def test_a_closed_pipe_is_no_error(results: Path) -> None:
    """Nothing is said, and the exit code is the command's own."""
    code = "import sys; from palimpsest.cli import main; sys.exit(main())"
    # Without a buffer, a library would ignore the error.
    run = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": ""}}
    for arguments, expected in ((["plan"], 0), (["plan", "--help"], 0)):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **run
        )
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == expected


def test_what_is_printed_after_the_reader_left_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    stream = io.TextIOWrapper(os.fdopen(write, "wb"), write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    os.close(read)
    with unread_output():
        print("x" * 100_000)
        print("and on", flush=True)
    stream.close()
