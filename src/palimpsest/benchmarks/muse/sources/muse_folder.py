"""A corpus of MUSE from a local folder."""

from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.benchmarks.muse.files import SETS, hash_files, read_corpus
from palimpsest.errors import UserError


class MuseFolderSource(MuseSource, LocalSource):
    """A corpus of MUSE from a local folder, laid out as the data sets on the hub are."""

    holds: ClassVar = "the files of MUSE, laid out as on the hub"
    kind: Literal["muse-folder"]
    """From a local folder."""
    path: str
    """The folder, relative to the working directory."""

    def read(self) -> MuseData:
        """Return the corpus as it lies in the folder; raises UserError for a missing folder or a broken file."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such data folder; source.path names a folder with {', '.join(SETS)} in it")
        return read_corpus(folder, self.path, published=False)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as they are there."""
        return hash_files(Path(self.path))
