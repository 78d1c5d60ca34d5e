"""RWKU's people from a local folder."""

from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.rwku.dataset import RwkuData, RwkuSource
from palimpsest.errors import UserError


class RwkuFolderSource(RwkuSource, LocalSource):
    """RWKU's people from a local folder with the files of the data set on the Hub, or of its folder `All`."""

    holds: ClassVar = "the files of RWKU, in the layout of the Hub"
    kind: Literal["rwku-folder"]
    """Read from a local folder."""
    path: str
    """The folder, relative to the working directory."""

    def read(self) -> RwkuData:
        """Return the people in the folder; raises UserError for a missing folder or a broken file."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; source.path must name a folder with {', '.join(self.files)}")
        return self.read_from(folder)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        return self.hashes(Path(self.path))
