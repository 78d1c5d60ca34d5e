"""What GitHub reads: workflows with the fewest rights, forms, and a citation file of the package's version."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from palimpsest.provenance.digest import code_closure, stage_module
from palimpsest.study.images import FAMILIES
from palimpsest.study.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Rights beyond reading the code, by workflow and job: a page, an image, a release, and proof of identity for PyPI.
RIGHTS = {
    ("docs", "deploy"): {"pages", "id-token"},
    ("images", "push"): {"packages"},
    ("release", "pypi"): {"id-token"},
    ("release", "github"): {"contents"},
}
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": [path for path in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"],
    "github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_match_their_schemas(schema: str) -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, SCHEMAS[schema])]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_citation_is_valid_and_of_this_version() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert any("SimNPO" in text or "Negative Preference" in text for text in [each["title"] for each in citation["references"]])
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest and PROJECT["version"].startswith(newest[1])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_few_rights_and_an_end(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        rights = {right for right, level in job.get("permissions", {}).items() if level == "write"}
        assert rights == RIGHTS.get((path.stem, name), set()), name
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            # A major version of GitHub's own actions and of PyPI's.
            assert re.fullmatch(r"actions/[\w-]+@v\d+|pypa/[\w-]+@release/v1", step.get("uses", "actions/none@v1"))
            # An expression in a script runs what others wrote, such as the name of a branch.
            assert "${{" not in step.get("run", "")


def test_workflows_run_what_there_is() -> None:
    scripts = [step.get("run", "") for path in WORKFLOWS for job in read(path)["jobs"].values() for step in job["steps"]]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = {target for script in scripts for target in re.findall(r"\bmake ([\w-]+)", script)}
    assert {"setup", "lint", "test", "docs"} <= used and used - targets <= {"docs"}
    for script in scripts:
        for name in re.findall(r"(?:tests|containers|scripts)/[\w/.-]+", script):
            assert (ROOT / name).exists(), name
    matrix = read(ROOT / ".github/workflows/tests.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert f">={matrix[0]}" == PROJECT["requires-python"]
    for job in read(ROOT / ".github/workflows/images.yml")["jobs"].values():
        assert job["strategy"]["matrix"]["family"] == [*FAMILIES]


def test_a_new_version_reruns_nothing() -> None:
    for name, stage in STAGES.items():
        if not stage.is_brought:
            code = code_closure(stage_module(stage.module or name)).values()
            assert not any("version('palimpsest')" in text for text in code), name
