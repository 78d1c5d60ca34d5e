"""LUME's tasks from a local folder."""

from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.lume.dataset import Fold, LumeData, LumeSource, files_of, read_lume
from palimpsest.data.columns import hash_sets
from palimpsest.errors import UserError


class LumeFolderSource(LumeSource, LocalSource):
    """LUME's tasks from a local folder: the files of the authors' repository, or the data set of SemEval-2025, task 4."""

    holds: ClassVar = "forget.jsonl and retain.jsonl, or the files of the data set on the Hub"
    kind: Literal["lume-folder"]
    """Read from a local folder."""
    path: str
    """The folder, relative to the working directory."""
    fold: Fold | None = None
    """Read `forget_train` and `retain_train`, or `forget_validation` and `retain_validation`; null: `forget` and `retain`."""

    def read(self) -> LumeData:
        """Return the items in the folder; raises UserError for a missing folder or a broken file."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; source.path must name a folder with {self.holds}")
        return read_lume(folder, self.fold, self.path, published=False)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        return hash_sets(Path(self.path), files_of(Path(self.path), self.fold))
