"""The workflow as a module of another one: it keeps to itself, takes its code from git, and two of it do not meet."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import ROOT, Checkout, clone

TAG = "v9.9.9"
SPLIT = "tofu/splits/forget10/manifest.json"
MODULE = """
module {name}:
    snakefile: "{snakefile}"
    config: config["{name}"]

use rule * from {name} as {name}_*
"""
# Its rules have names that the module's have too.
HOST = """
configfile: "config.yaml"

shell.prefix("HOST=mine; ")

rule all:
    input: {inputs}
    output: "both.txt"
    params: prefix="x"
    shell: "(echo $HOST; trap; env | grep -E '^(PALIMPSEST|PYTHON|HF|TOKENIZERS)'; cat {{input}}) > {{output}}"

rule report:
    output: "report.txt"
    shell: "touch {{output}}"
"""


def host(folder: Path, snakefile: object, **configs: dict[str, Any]) -> Checkout:
    """Return another workflow that uses this one once per config, under the config's name."""
    folder.mkdir()
    inputs = [f"{config['results']}/{SPLIT}" for config in configs.values()]
    modules = [MODULE.format(name=name, snakefile=snakefile) for name in configs]
    (folder / "Snakefile").write_text(HOST.format(inputs=inputs) + "".join(modules), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump({"mine": 1, **configs}), encoding="utf-8")
    return Checkout(folder)


def study(name: str, extends: object, seed: int = 0) -> dict[str, Any]:
    return {"extends": str(extends), "study": name, "results": f"results-{name}", "sources": {"world": {"seed": seed}}}


def variables(dry_run: str) -> dict[str, set[str]]:
    """Return the values of each variable in the shell commands that a dry run prints."""
    found: dict[str, set[str]] = {}
    for name, value in re.findall(r"\b((?:PALIMPSEST|PYTHON)\w+)=(\S+)", dry_run):
        found.setdefault(name, set()).add(value)
    return found


def test_two_of_it_in_one_workflow_share_nothing_and_leave_its_own_rules_alone(checkout: Checkout, tmp_path: Path) -> None:
    tiny = checkout.path / "config/test/tiny.yaml"
    other = host(tmp_path / "host", checkout.path / "workflow/Snakefile", a=study("a", tiny), b=study("b", tiny, seed=1))
    ran = other.snakemake()
    assert ran.returncode == 0, ran.stdout
    # The first rule of the host is its default target, and Snakemake prints what it prints of any workflow.
    assert "rule all:" in ran.stdout and "5 of 5 steps (100%) done" in ran.stdout
    commands = [json.loads(path.read_text())["shellcmd"] for path in (other.path / ".snakemake/metadata").iterdir()]
    for name in "ab":
        found = variables("".join(command for command in commands if f" --out results-{name}/" in command))
        assert found["PALIMPSEST_SCRATCH"] == {f"results-{name}/.scratch"}
        assert found["PALIMPSEST_STORE"] == {f"results-{name}/.store"}
    environment, manifests = (other.path / "both.txt").read_text().split("{", 1)
    # A shell that runs in the background may have traps of its own, which ignore a signal.
    assert environment.startswith("mine\n") and "EXIT" not in environment and "SIGTERM" not in environment
    # As the tests set them, and no more.
    own = {**os.environ, "PALIMPSEST_COMMIT": "c" * 40, "PALIMPSEST_WARM": "no"}
    told = dict(line.split("=", 1) for line in environment.splitlines()[1:] if not line.startswith("trap "))
    assert told.items() <= own.items()
    made = [json.loads((other.path / f"results-{name}/tofu/data/manifest.json").read_text()) for name in "ab"]
    assert [each["spec"]["source"]["seed"] for each in made] == [0, 1]
    assert manifests.count('"stage": "split"') == 2
    assert {path.name for path in other.path.glob("results*")} == {"results-a", "results-b"}
    assert other.jobs() == {}
    other.edit("config.yaml", "seed: 1", "seed: 5")
    assert other.jobs() == {"b_data": 1, "b_split": 1, "all": 1}


def test_a_prefix_of_paths_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    other = host(tmp_path / "host", checkout.path / "workflow/Snakefile", a=study("a", checkout.path / "config/test/tiny.yaml"))
    other.edit("Snakefile", '    config: config["a"]', '    config: config["a"]\n    prefix: "deep"')
    ran = other.snakemake("--dry-run")
    line = "palimpsest: module: prefix and replace_prefix do not reach all paths; set `results` in the module's config"
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (2, line)


# The workflow from git, with the installed library.


def git(repository: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    return subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with this workflow at a tag, and then a change."""
    checkout = clone(tmp_path_factory.mktemp("git") / "palimpsest")
    git(checkout.path, "init", "--quiet")
    git(checkout.path, "add", ".")
    git(checkout.path, "commit", "--quiet", "--message", "tagged")
    git(checkout.path, "tag", TAG)
    checkout.edit("src/palimpsest/names.py", '"""', '"""Later. ')
    git(checkout.path, "commit", "--quiet", "--all", "--message", "later")
    return checkout.path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder into which pip has installed the library."""
    to = tmp_path / "site-packages"
    shutil.copytree(ROOT / "src/palimpsest", to / "palimpsest", ignore=shutil.ignore_patterns("__pycache__"))
    return to


def from_git(folder: Path, repository: Path, ref: str, site: Path) -> Checkout:
    config = study("a", repository / "config/test/tiny.yaml")
    return Checkout(host(folder, f"git+file://{repository}/workflow/Snakefile@{ref}", a=config).path, site)


def test_from_git_it_runs_with_the_installed_library(
    repository: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALIMPSEST_SCRATCH", str(tmp_path / "fast/disk"))
    other = from_git(tmp_path / "host", repository, TAG, site)
    ran = other.snakemake()
    assert ran.returncode == 0, ran.stdout
    found = [json.loads(path.read_text())["shellcmd"] for path in (other.path / ".snakemake/metadata").iterdir()]
    assert "PYTHONPATH" not in variables("".join(found))
    # Each job has had a folder on the disk, and none in the results.
    assert list((tmp_path / "fast").iterdir()) == [tmp_path / "fast/disk"] and not list((tmp_path / "fast/disk").iterdir())
    assert not (other.path / "results-a/.scratch").exists()
    record = json.loads((other.path / "results-a/tofu/data/environment.json").read_text())
    assert record["commit"] == git(repository, "rev-parse", TAG)


def test_from_git_it_refuses_a_library_with_other_code(repository: Path, site: Path, tmp_path: Path) -> None:
    ran = from_git(tmp_path / "later", repository, "HEAD", site).snakemake("--dry-run")
    place, package = f"git+file://{repository}", site / "palimpsest"
    install = f"pip install 'palimpsest[workflow] @ {place}@HEAD'"
    line = f"palimpsest: the workflow is {place}/workflow/rules@HEAD, but palimpsest/names.py differs in the library, {package}"
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (2, f"{line}: {install}")
    (site / "palimpsest/names.py").unlink()
    (site / "palimpsest/study/library.py").unlink()
    ran = from_git(tmp_path / "gone", repository, TAG, site).snakemake("--dry-run")
    line = f"palimpsest: No module named 'palimpsest.study.library': pip install 'palimpsest[workflow] @ {place}@{TAG}'"
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (2, line)


def test_beside_the_workflow_another_library_may_be_installed_if_it_has_the_same_code(checkout: Checkout, site: Path) -> None:
    both = Checkout(checkout.path, site)
    arguments = ("--dry-run", "--configfile", "config/test/tiny.yaml")
    beside, installed = checkout.path / "src/palimpsest", site / "palimpsest"
    said = both.snakemake(*arguments)
    assert said.returncode == 0 and f"palimpsest: the library is {beside}; {installed} has the same code\n" in said.stdout
    (installed / "names.py").write_text("")
    ran = both.snakemake(*arguments)
    line = f"palimpsest: two libraries, {beside} beside the workflow and {installed}, and palimpsest/names.py differs: "
    line += "pip uninstall palimpsest, or use the workflow of one version"
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (2, line)
