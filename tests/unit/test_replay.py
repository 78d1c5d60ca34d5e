"""Which stages the commits of this repository may wake, by the code that they changed: no checkout, only `git show`."""

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

from palimpsest.provenance.bare_code import strip
from palimpsest.study.budget import budget

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "src/palimpsest"
LAST = 20
# Stages that only read what others measured.
READING = {"select", "scores", "external", "summarise", "report", "publish"}
# Packages that decide nothing, or only what is read from measurements.
LATE = {"audit": set(), "export": set(), "study": {"publish"}, "report": READING, "scores": READING, "selection": READING}
TRAINING = {"base", "finetune", "finetune of markov", "given", "reinforce", "unlearn", "unlearn of markov", "attack"}


def git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.skip(f"no such history here (git {arguments[0]}): a shallow clone, or no repository")
    return ran.stdout


def bare(commit: str, path: str) -> str | None:
    """Return the code of a file at a commit without what changes no result; None if there is no such file."""
    shown = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=ROOT, capture_output=True, text=True, check=False)
    if shown.returncode:
        return None
    return ast.unparse(strip(ast.parse(shown.stdout))) if path.endswith(".py") else shown.stdout


@cache
def reruns() -> dict[str, list[str]]:
    return budget()


def module(path: str) -> str:
    """Return the module that a file belongs to: a data file to that of its name, or to its package."""
    parts = Path(path).relative_to("src").with_suffix("").parts
    name = ".".join(parts).removesuffix(".__init__")
    return name if path.endswith(".py") or name in reruns() else ".".join(parts[:-1])


def woken(commit: str) -> dict[str, set[str]]:
    """Return the stages that each module whose code a commit changed may wake today; a module that is gone wakes none."""
    git("rev-parse", "--verify", f"{commit}^{{commit}}")
    git("rev-parse", "--verify", f"{commit}^")
    paths = git("diff-tree", "--no-commit-id", "--name-only", "-r", commit, "--", SOURCE).splitlines()
    changed = {module(path) for path in paths if bare(f"{commit}^", path) != bare(commit, path)}
    return {name: {stage.partition(" (")[0] for stage in reruns().get(name, [])} for name in changed}


@pytest.mark.parametrize(
    ("commit", "stages"),
    [
        pytest.param("db3bdc8e1026", set(), id="a docstring"),
        pytest.param("00c4af62e8d5", set(), id="what a run prints"),
        pytest.param("d9562f833ce9", set(), id="palimpsest store"),
        pytest.param("2c1953d73739", {"report"}, id="a figure"),
        pytest.param("bbc6d10edfae", {"report", "publish"}, id="tables"),
        pytest.param("b94456cf8d5b", {"scores", "summarise", "report"}, id="truth ratios"),
        pytest.param("9d6eaf78063c", TRAINING, id="the log of a training"),
    ],
)
def test_a_commit_wakes_its_stages(commit: str, stages: set[str]) -> None:
    assert set().union(*woken(commit).values()) == stages


def test_the_last_commits_wake_no_stage_that_reads_nothing_of_what_they_changed() -> None:
    """The table of what each may wake is printed with `pytest -s`."""
    commits = git("log", f"-{LAST}", "--no-merges", "--format=%H", "--", SOURCE).split()
    for commit in commits:
        found = woken(commit)
        print(git("log", "-1", "--format=%h %s", commit).strip(), "wakes", sorted(set().union(*found.values())) or "nothing")
        for name, stages in found.items():
            package = name.split(".")[1] if "." in name else ""
            assert stages <= LATE.get(package, stages), f"{commit}: {name}"
