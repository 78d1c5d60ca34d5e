"""The library of a run: what is compared, and what jobs with a python of their own get."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from palimpsest.errors import SNAKEMAKE_RUN
from palimpsest.provenance.digest import ROOT, code_digest
from palimpsest.study import library
from palimpsest.study.rules import run_of

STAGE = "palimpsest.stages.split"


def test_files_have_the_hashes_of_git() -> None:
    names = ["palimpsest/names.py", "palimpsest/study/defaults.yaml"]
    said = subprocess.run(["git", "hash-object", "--no-filters", *names], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [library._code(ROOT)[name] for name in names] == said.stdout.split()


def test_jobs_with_their_own_python_get_the_library_without_the_packages_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = library._copy(ROOT)
    assert copy.is_relative_to(tmp_path / ".snakemake") and [path.name for path in copy.iterdir()] == ["palimpsest"]
    assert library._copy(ROOT) == copy
    assert code_digest(STAGE, root=copy) == code_digest(STAGE)
    found = "import palimpsest.errors; print(palimpsest.errors.__file__)"
    said = subprocess.run(
        [sys.executable, "-S", "-c", found], env={"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == str(copy / "palimpsest/errors.py")


def test_the_jobs_of_a_run_know_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    one, same, other = (SimpleNamespace(sourcecache=SimpleNamespace(runtime_cache_path=path)) for path in ("a", "a", "b"))
    assert run_of(one) == run_of(same) != run_of(other)
    # The run that makes the report with gaps continues another.
    monkeypatch.setenv(SNAKEMAKE_RUN, "first")
    assert run_of(other) == "first"
