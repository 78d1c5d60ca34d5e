"""TOFU from a local folder."""

from pathlib import Path

from palimpsest.data.dataset import Dataset
from palimpsest.data.settings import FolderSource
from palimpsest.data.tofu import read_tofu
from palimpsest.errors import UserError


def read_folder(source: FolderSource) -> Dataset:
    """Return TOFU as it lies in the source's folder; raises UserError for a missing folder or a broken file."""
    folder = Path(source.path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such data folder; source.path names the folder of TOFU's JSON-lines files")
    return read_tofu(folder, source)
