"""TOFU from a local folder."""

from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.files import FilesSource, hash_files, read_tofu
from palimpsest.errors import UserError


class FolderSource(FilesSource, LocalSource):
    """TOFU from a local folder that holds its published JSON-lines files."""

    holds: ClassVar = "the files of TOFU"
    kind: Literal["folder"]
    """From a local folder."""
    path: str
    """The folder, relative to the working directory."""

    def read(self) -> Dataset:
        """Return TOFU as it lies in the folder; raises UserError for a missing folder or a broken file."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such data folder; source.path names the folder of TOFU's JSON-lines files")
        return read_tofu(folder, self)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as they are there."""
        return hash_files(Path(self.path))
