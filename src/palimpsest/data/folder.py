"""TOFU from a local folder."""

from pathlib import Path

from palimpsest.data import tofu
from palimpsest.data.dataset import Dataset
from palimpsest.data.settings import FolderSource
from palimpsest.errors import UserError


def read_folder(source: FolderSource) -> Dataset:
    """Return TOFU as it lies in the source's folder; raises UserError for a missing folder or a broken file."""
    folder = Path(source.path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such data folder; source.path names the folder of TOFU's JSON-lines files")
    return tofu.read_tofu(folder, source)


def hash_files(source: FolderSource) -> dict[str, str]:
    """Return the sha256 of each file that is read, as far as they are there."""
    return tofu.hash_files(Path(source.path))
