"""A corpus of MUSE from a local folder."""

from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.benchmarks.muse.files import SETS, hash_files, read_corpus
from palimpsest.errors import UserError


class MuseFolderSource(MuseSource, LocalSource):
    """A MUSE corpus from a local folder with the layout of the data sets on the Hub."""

    holds: ClassVar = "the files of MUSE, in the layout of the Hub"
    kind: Literal["muse-folder"]
    """Read from a local folder."""
    path: str
    """The folder, relative to the working directory."""

    def read(self) -> MuseData:
        """Return the corpus in the folder; raises UserError for a missing folder or a broken file."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; source.path must name a folder that contains {', '.join(SETS)}")
        return read_corpus(folder, self.path, published=False)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        return hash_files(Path(self.path))
