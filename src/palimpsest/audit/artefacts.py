"""The artefacts in a folder of results."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from palimpsest.errors import BrokenArtefact, UserError
from palimpsest.provenance.canonical import sha256_file
from palimpsest.provenance.manifest import (
    ENVIRONMENT,
    MANIFEST,
    content_of,
    is_pruned,
    read_environment,
    read_manifest,
    weight_files,
)

# Other files at the top of the results: the resolved config, and the output of an audit.
CONFIG = "run_config.yaml"
PAGE, PLAIN = "audit.html", "audit.json"


@dataclass(frozen=True)
class Artefact:
    """A folder with a manifest; `path` is the folder's path below the results, with slashes."""

    path: str
    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of the manifest; raises BrokenArtefact if it is not valid."""
        return read_manifest(self.folder / MANIFEST)

    @cached_property
    def is_readable(self) -> bool:
        """Whether the manifest is valid."""
        try:
            return bool(self.manifest)
        except BrokenArtefact:
            return False

    @cached_property
    def pruned(self) -> dict[str, int]:
        """The bytes of each file with weights that was pruned, by name; empty unless the artefact's weights were pruned."""
        files = self.manifest["files"] if is_pruned(self.folder) else {}
        return {name: files[name]["size"] for name in weight_files({"files": files})}

    @cached_property
    def sha256(self) -> str:
        """The hash of the manifest's bytes."""
        return sha256_file(self.folder / MANIFEST)

    @cached_property
    def content(self) -> str:
        """The hash of what readers of the artefact see, by which downstream manifests name it."""
        return content_of(self.manifest)

    @cached_property
    def environment(self) -> dict[str, Any] | None:
        """The environment of its job; None if it is not recorded."""
        try:
            return read_environment(self.folder / ENVIRONMENT)
        except BrokenArtefact:
            return None


def find_artefacts(results: Path) -> dict[str, Artefact]:
    """Return the artefacts below a folder by their paths, in order, without following links.

    Raises UserError if there is none. A folder with an invalid manifest counts too; reading that manifest raises.
    """
    if not results.is_dir():
        raise UserError(f"{results}: no such folder of results")
    found = {folder.relative_to(results).as_posix(): folder for folder in _folders(results)}
    if not found:
        raise UserError(f"{results}: contains no artefact: no {MANIFEST} at any depth")
    return {path: Artefact(path, found[path]) for path in sorted(found)}


def has_artefacts(results: Path) -> bool:
    """Return whether there is an artefact below a folder; an entry of its store is none."""
    return any(True for _ in _folders(results))


class Contents:
    """Artefacts by their content, which several may share, as two models whose Retrains are the same."""

    def __init__(self, artefacts: Mapping[str, Artefact]) -> None:
        self._found: dict[str, list[Artefact]] = {}
        for artefact in artefacts.values():
            if artefact.is_readable:
                self._found.setdefault(artefact.content, []).append(artefact)

    def of(self, content: str, reader: Artefact, label: str) -> Artefact | None:
        """Return the artefact with a content; of several, the one whose path has most in common with reader and label.

        `label` is the reader's name for it: `eval:unlearn/npo/default/tofu` is an evaluation of that variant.
        """
        near = f"{reader.path}/{label.replace(':', '/')}"
        return max(self._found.get(content, []), key=lambda each: _in_common(each.path, near), default=None)


def _in_common(one: str, other: str) -> int:
    return len(set(one.split("/")) & set(other.split("/")))


def _folders(results: Path) -> Iterator[Path]:
    """Yield the folders with a manifest, except those whose names begin with a dot (work in progress)."""
    for folder, names, files in os.walk(results):
        names[:] = [name for name in names if not name.startswith(".")]
        if MANIFEST in files:
            yield Path(folder)
