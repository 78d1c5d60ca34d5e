"""TOFU from a local folder."""

import re
from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.files import REFUSALS, FilesSource, hash_files, read_tofu
from palimpsest.errors import UserError

# Common names of a file with refusals. Such a file is not read, so the built-in refusals would silently replace it.
_REFUSALS = re.compile(r"idk|i[-_ ]?do?n'?t[-_ ]?know|refusal", re.IGNORECASE)


class FolderSource(FilesSource, LocalSource):
    """TOFU from a local folder with its published JSON-lines files.

    Refusals are read from `idontknow.jsonl` of TOFU's code; without the file, 40 refusals of our own are used.
    """

    holds: ClassVar = "the files of TOFU"
    kind: Literal["folder"]
    """Read from a local folder."""
    path: str
    """The folder, relative to the working directory."""

    def read(self) -> Dataset:
        """Return the data in the folder.

        Raises UserError for a missing folder, a broken file, and refusals in a file of another name.
        """
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; source.path must name the folder with TOFU's JSON-lines files")
        others = (path for path in sorted(folder.iterdir()) if _REFUSALS.match(path.name) and path.name != REFUSALS)
        if other := next(others, None):
            raise UserError(f"{other}: not read: refusals must be in {REFUSALS}, one per line; rename the file")
        return read_tofu(folder, self)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        return hash_files(Path(self.path), self)
