"""Snakemake on a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import forked

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("Snakefile", "config.yaml", "config", "containers", "envs", "profiles", "src", "workflow")
# What no file may hold of the run that tests start from.
SECRET = "planted-secret-of-the-tests"
SECRETS = {
    "HF_TOKEN": f"hf_{SECRET}",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{SECRET}",
    "PIP_INDEX_URL": f"https://user:{SECRET}@packages.example.org/simple",
}
TINY = ("--configfile", "config/test/tiny.yaml")


@dataclass(frozen=True)
class Checkout:
    """A working copy of the repository, with its results."""

    path: Path
    site: Path | None = None
    """A folder with further packages that are installed."""

    def snakemake(self, *arguments: str, alone: bool = False) -> subprocess.CompletedProcess[str]:
        """Run Snakemake's command line there; stderr is in stdout.

        Snakemake and the jobs it starts are forks of a process that has imported their libraries; `alone`, Pythons of their own.
        """
        command = ["-m", "snakemake", "--cores", "2", *arguments]
        # A copy has no git: a commit is claimed.
        environment = self._environment(PALIMPSEST_COMMIT="c" * 40)
        if self.site:
            environment["PYTHONPATH"] = str(self.site)
        if not alone:
            return forked.run(command, environment | self._forks(), self.path)
        said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.run([sys.executable, *command], cwd=self.path, env=environment, **said)

    def palimpsest(self, *arguments: object, code: int | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Palimpsest's command line with the code of this copy, in a fork, which must end with `code`, if given."""
        path = os.pathsep.join(str(folder) for folder in (self.path / "src", self.site) if folder)
        environment = self._environment(PYTHONPATH=path, **variables) | self._forks()
        ran = forked.run(["-m", "palimpsest", *map(str, arguments)], environment, self.path, apart=True)
        assert code in (None, ran.returncode), ran.stdout + ran.stderr
        return ran

    def _environment(self, **variables: str) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", **variables}

    def _forks(self) -> dict[str, str]:
        """Return variables with which jobs are forks too."""
        return {"BASH_ENV": str(forked.shell(self.site)), "PALIMPSEST_WARM": "no"}

    def jobs(self, *arguments: str, said: str = "") -> dict[str, int]:
        """Return how many jobs of each rule a dry run would do, and see that it said something."""
        ran = self.snakemake("--dry-run", *arguments)
        assert ran.returncode == 0 and said in ran.stdout, ran.stdout
        if "Nothing to be done" in ran.stdout:
            return {}
        table = ran.stdout.partition("Job stats:")[2].partition("total")[0]
        return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text, which must be there, in a file."""
        path = self.path / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def overlay(self, text: str) -> tuple[str, ...]:
        """Return the arguments that lay a config over the tiny study."""
        (self.path / "overlay.yaml").write_text(text, encoding="utf-8")
        return ("--configfile", TINY[1], "overlay.yaml")

    def overlaid(self, study: str, text: str) -> dict[str, int]:
        """Return how many jobs of each rule a dry run would do with a config laid over a study's."""
        (self.path / "overlay.yaml").write_text(text, encoding="utf-8")
        return self.jobs("--configfile", study, "overlay.yaml")

    def copy(self, to: Path) -> Checkout:
        """Return a copy in another place, times of files kept."""
        return Checkout(Path(shutil.copytree(self.path, to)))


def finish(to: Path, *arguments: str) -> Checkout:
    """Return a fresh clone in which a study was run to its report."""
    checkout = clone(to)
    ran = checkout.snakemake(*arguments)
    assert ran.returncode == 0, ran.stdout
    return checkout


def manifests(results: Path) -> dict[str, bytes]:
    """Return the bytes of every manifest below a folder of results."""
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in results.rglob("manifest.json")}


def clone(to: Path) -> Checkout:
    """Return a fresh clone of this repository, as it is now, without results."""
    to.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "images"))
        else:
            shutil.copy(source, to / name)
    return Checkout(to)
