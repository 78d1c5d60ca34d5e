"""The library of a run: the one beside the workflow, as in a clone, or else the installed one; both have the workflow's code."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from palimpsest.errors import UserError
from palimpsest.provenance.canonical import canonical_json, sha256_text
from palimpsest.provenance.commit import describe_commit
from palimpsest.provenance.digest import PACKAGE, ROOT
from palimpsest.study.messages import one_line

SOURCE = "src"
# The folders that pip installs into.
INSTALLED = ("site-packages", "dist-packages")
# Where jobs that have a python of their own find an installed library, without the packages beside it.
COPIES = Path(".snakemake", PACKAGE)

Code = dict[str, str]


@dataclass(frozen=True)
class Library:
    """The code that a run uses."""

    clone: Path | None
    """The repository that the library is in; None if it is installed."""
    path: str
    """The PYTHONPATH of jobs; empty if their python finds the library without it."""
    commit: str
    """The commit of the workflow, or an empty text."""


def open_library(workflow: Any, install: str) -> Library:
    """Return the library of the Snakefile that is being read; `install` is the command that installs it.

    If its code is not the workflow's, print one line and exit Snakemake with code 2.
    """
    place = workflow.current_basedir
    with one_line():
        library, origin = in_use(), _origin(place)
        if workflow.is_main_process and origin:
            _check_tracked(*origin, f"{place}", install)
        elif workflow.is_main_process:
            _check_folders(Path(str(place)).parents[1] / SOURCE)
        if origin:
            library = replace(library, commit=_git(*origin, "rev-parse", f"{origin[1]}^{{commit}}").strip())
        if workflow.deployment_settings.deployment_method and not library.clone:
            library = replace(library, path=str(_copy(ROOT)))
        return library


def in_use() -> Library:
    """Return the library that this process has imported, for jobs with the same python."""
    clone = ROOT.parent if (ROOT.parent / "workflow" / "Snakefile").is_file() else None
    return Library(clone, str(ROOT) if clone else "", describe_commit(ROOT.parent))


def _origin(place: Any) -> tuple[Path, str] | None:
    """Return the git repository that a Snakefile is read from, and the commit, tag or branch; None for one in a folder."""
    from snakemake.sourcecache import HostingProviderFile, LocalGitFile

    if isinstance(place, HostingProviderFile):
        return place.hosted_repo.repo_clone, place.ref
    return (Path(place.repo_path), place.ref) if isinstance(place, LocalGitFile) else None


def _check_tracked(repository: Path, ref: str, place: str, install: str) -> None:
    """Refuse an installed library whose code differs from a commit."""
    listed = _git(repository, ref, "ls-tree", "-r", "-z", ref, "--", f"{SOURCE}/{PACKAGE}")
    entries = [entry.partition("\t") for entry in listed.split("\0") if entry]
    tracked = {path.removeprefix(f"{SOURCE}/"): words.split()[2] for words, _, path in entries}
    if edited := _differing(tracked, _code(ROOT)):
        raise UserError(f"the workflow is {place}, but {edited} differs in the library, {ROOT / PACKAGE}: {install}")


def _check_folders(source: Path) -> None:
    """Refuse another library in use, or installed, whose code differs from the folder beside the workflow."""
    if not source.is_dir():
        return
    installed = [Path(folder) for folder in sys.path if Path(folder).name in INSTALLED]
    for other in dict.fromkeys(folder.resolve() for folder in (ROOT, *installed) if (folder / PACKAGE).is_dir()):
        if other == source.resolve():
            continue
        if edited := _differing(_code(source), _code(other)):
            raise UserError(
                f"two libraries, {source / PACKAGE} beside the workflow and {other / PACKAGE}, and {edited} differs:"
                f" pip uninstall {PACKAGE}, or use the workflow of one version"
            )
        print(f"{PACKAGE}: the library is {ROOT / PACKAGE}; {other / PACKAGE} has the same code", file=sys.stderr)


def _differing(one: Code, other: Code) -> str:
    """Return the first file that only one of two libraries has, or that differs; empty if they have the same code."""
    return min((path for path, _ in one.items() ^ other.items()), default="")


@cache
def _code(root: Path) -> Code:
    """Return the hash that git has of each file of the package in a folder."""
    files = (path for path in sorted((root / PACKAGE).rglob("*")) if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(root).as_posix(): _blob(path.read_bytes()) for path in files}


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _copy(root: Path) -> Path:
    """Return a folder with a copy of the package alone, below the working directory."""
    target = COPIES.absolute() / sha256_text(canonical_json(_code(root)))[:16]
    if not target.exists():
        partial = target.with_name(f".{uuid4().hex}")
        shutil.copytree(root / PACKAGE, partial / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        # Another process may have made it at the same time.
        with suppress(OSError):
            partial.rename(target)
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _git(repository: Path, ref: str, *command: str) -> str:
    try:
        return subprocess.run(["git", "-C", str(repository), *command], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise UserError(f"{repository}: {ref}: git cannot read it: {' '.join(said.split())}") from None
