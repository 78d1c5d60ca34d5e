"""Every command of the README and of the pages that it leads to is true: a make target, a plan of Snakemake, a score of logs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from palimpsest import errors

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("quick-start.md", "score-logs.md"))]
BLOCKS = [block for page in PAGES for block in re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)]
COMMANDS = list(dict.fromkeys(line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()))


def run(command: list[str], cwd: Path, source: Path = ROOT / "src") -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def starting(program: str) -> list[str]:
    return [command for command in COMMANDS if command.split()[0] == program]


def test_the_two_commands_of_a_newcomer_come_first() -> None:
    assert COMMANDS[:2] == ["make demo", "make test"]


def test_there_is_no_command_of_another_kind() -> None:
    known = [*starting("make"), *starting("snakemake"), *starting("palimpsest"), "source .venv/bin/activate"]
    assert sorted(COMMANDS) == sorted(known)


@pytest.mark.parametrize("command", starting("make"))
def test_make_has_the_target(command: str) -> None:
    run([*shlex.split(command), "--dry-run"], ROOT)


@pytest.mark.parametrize("command", starting("snakemake"))
def test_snakemake_plans_it(command: str, tmp_path: Path) -> None:
    arguments = shlex.split(command)
    if "--report" in arguments:  # which needs results; a plan of them is as far as a fresh clone goes
        arguments = arguments[: arguments.index("--report")]
    elsewhere = ["--directory", str(tmp_path), "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config.yaml")]
    output = run([*arguments, *elsewhere, "--dry-run"], tmp_path)
    assert "This was a dry-run" in output


@pytest.mark.parametrize("command", [command for command in starting("palimpsest") if command.split()[1] in ("list", "validate")])
def test_a_look_at_the_study_succeeds(command: str) -> None:
    assert run([sys.executable, "-m", *shlex.split(command)], ROOT)


def test_each_command_of_palimpsest_is_run_by_a_test() -> None:
    # Those of the audit are run on a finished study, in tests/rules/test_audit.py.
    assert {command.split()[1] for command in starting("palimpsest")} == {"list", "validate", "score", "audit"}


@pytest.mark.parametrize("command", [command for command in starting("palimpsest") if command.split()[1] == "score"])
def test_score_runs_on_logs(command: str, shared: Path) -> None:
    logs = shared / "data" / "tofu_eval_logs"
    arguments = shlex.split(command)
    for option, name in (("--log", "llama2-7b_retain95"), ("--retrain", "llama2-7b_retain95")):
        # Where the evaluation of a study leaves its table: run_dir/eval/SUITE.
        assert Path(arguments[arguments.index(option) + 1]).parts[-2:] == ("eval", "tofu")
        arguments[arguments.index(option) + 1] = str(logs / name / "eval_log_aggregated.json")
    output = run([sys.executable, "-m", *arguments], ROOT)
    assert "0.6006" in output  # the model utility of that log


def test_every_linked_file_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    for link in links:
        assert (ROOT / link.partition("#")[0]).exists(), link


def test_every_fault_of_the_table_has_its_test_and_every_exit_code_its_line() -> None:
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    # That the tests are there, test_docs.py sees.
    _, _, *faults = text[text.index("| failure |") :].partition("\n\n")[0].splitlines()
    assert faults and not [row for row in faults if "`tests/" not in row.split("|")[-2]]
    for code in (errors.USER_ERROR_EXIT, errors.MEMORY_EXIT, errors.KILLED_EXIT, errors.INTERRUPTED_EXIT):
        assert f"\n| {code} |" in text
