"""The default storage of a run of Snakemake: what rules declare for it, and what lies on it.

A storage moves only what rules declare. So each artefact is declared whole: its manifest, its environment, and an archive of all
other files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from palimpsest.contract.archive import ARCHIVE
from palimpsest.environment import STORE
from palimpsest.errors import UserError
from palimpsest.provenance.manifest import ENVIRONMENT, MANIFEST
from palimpsest.study.study import Study


@dataclass(frozen=True)
class Storage:
    """The storage that `--default-storage-provider` names."""

    workflow: Any
    root: str
    """The folder with its local copies, below which jobs read and write."""

    def address(self, path: str) -> str:
        """Return the address of a file on the storage, by its path without one."""
        return str(self._object(path).print_query)

    def query(self, path: str) -> str:
        """Return what Snakemake calls a file in its records."""
        return str(self._object(path).query)

    def exists(self, path: str) -> bool:
        """Return whether the storage has a file."""
        return bool(self._object(path).exists())

    def fetch(self, path: str, folder: Path) -> None:
        """Copy a file of the storage below a folder, which is none of the local copies that Snakemake keeps."""
        file, to = self._object(path), folder / path
        to.parent.mkdir(parents=True, exist_ok=True)
        file.set_local_path(to)
        file.retrieve_object()

    def without_root(self, copy: str) -> str:
        """Return the path of a file, given the path of its local copy."""
        return copy.removeprefix(f"{self.root}/")

    def _object(self, path: str) -> Any:
        return self.workflow.modifier.path_modifier.apply_default_storage(path).flags["storage_object"]


def open_storage(workflow: Any, study: Study) -> Storage | None:
    """Return the default storage of a run; None without one. Raises UserError if weights are to be pruned on it."""
    if workflow.storage_registry.default_storage_provider is None:
        return None
    if pruned := next((keep for block in study.config.blocks if (keep := block.keep or study.config.keep) != "all"), None):
        raise UserError(f"config: keep: {pruned}: with a storage, the weights of an artefact are in its archive: keep: all")
    copy = str(workflow.modifier.path_modifier.apply_default_storage(study.results))
    return Storage(workflow, copy.removesuffix(f"/{study.results}"))


@contextmanager
def fetched(paths: Iterable[str], storage: Storage | None) -> Iterator[Path]:
    """Yield a folder with these files of the results: a temporary one with a storage, the working directory without."""
    if storage is None:
        yield Path()
        return
    with TemporaryDirectory() as folder:
        for path in paths:
            if storage.exists(path):
                storage.fetch(path, Path(folder))
        yield Path(folder)


def refuse_cache(workflow: Any) -> None:
    """Raise UserError for Snakemake's `--cache`, which would keep the manifests of artefacts without their files."""
    if workflow.workflow_settings.cache is not None:
        raise UserError(f"--cache: keeps no artefact; what studies and users share is in the store: set {STORE} to its folder")


def archive_of(manifest: str) -> str:
    """Return the archive of an artefact's files by its manifest."""
    return manifest.removesuffix(MANIFEST) + ARCHIVE


def environment_of(manifest: str) -> str:
    """Return the file with the environment of an artefact's job by its manifest."""
    return manifest.removesuffix(MANIFEST) + ENVIRONMENT


def unwatched(path: str) -> str:
    """Return an input whose time does not count, because the manifest beside it says whether it changed."""
    from snakemake.io import ancient

    marked: str = ancient(path)
    return marked
