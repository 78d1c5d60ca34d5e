"""TOFU from a local folder."""

import re
from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.files import REFUSALS, FilesSource, hash_files, read_tofu
from palimpsest.errors import UserError

# What people call a file of refusals; under a name that is not read, our own would take its place.
_REFUSALS = re.compile(r"idk|i[-_ ]?do?n'?t[-_ ]?know|refusal", re.IGNORECASE)


class FolderSource(FilesSource, LocalSource):
    """TOFU from a local folder that holds its published JSON-lines files."""

    holds: ClassVar = "the files of TOFU"
    kind: Literal["folder"]
    """From a local folder."""
    path: str
    """The folder, relative to the working directory."""

    def read(self) -> Dataset:
        """Return TOFU as it lies in the folder.

        Raises UserError for a missing folder, a broken file, and refusals in a file that is not read.
        """
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such data folder; source.path names the folder of TOFU's JSON-lines files")
        others = (path for path in sorted(folder.iterdir()) if _REFUSALS.match(path.name) and path.name != REFUSALS)
        if other := next(others, None):
            raise UserError(f"{other}: not read: a folder's refusals are in {REFUSALS}, one a line: rename it")
        return read_tofu(folder, self)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as they are there."""
        return hash_files(Path(self.path))
