"""WMDP's corpora from a local folder."""

from pathlib import Path
from typing import ClassVar, Literal

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.wmdp.dataset import WmdpData, WmdpSource
from palimpsest.benchmarks.wmdp.files import compare, read_texts
from palimpsest.data.columns import hash_sets
from palimpsest.errors import UserError
from palimpsest.settings import Count

FORGET, RETAIN = "forget", "retain"


class WmdpFolderSource(WmdpSource, LocalSource):
    """WMDP's corpora from a local folder with forget.jsonl and retain.jsonl: one object with the key `text` per line."""

    holds: ClassVar = "forget.jsonl and retain.jsonl"
    kind: Literal["wmdp-folder"]
    """Read from a local folder."""
    path: str
    """The folder, relative to the working directory."""
    max_texts: Count | None = None
    """Use only the first N texts of each corpus; null: all texts."""

    def read(self) -> WmdpData:
        """Return the two corpora of the folder; raises UserError for a missing folder or a broken file."""
        folder = Path(self.path)
        if not folder.is_dir():
            raise UserError(
                f"{folder}: there is no such folder; source.path must name the folder with {FORGET}.jsonl and {RETAIN}.jsonl"
            )
        data = WmdpData(
            forget=read_texts(folder, FORGET, self.max_texts),
            retain=read_texts(folder, RETAIN, self.max_texts),
            origin={"licence": "not stated", "files": self.hash_files()},
        )
        return compare(data, self.path, published=False)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        return hash_sets(Path(self.path), [("", FORGET), ("", RETAIN)])
