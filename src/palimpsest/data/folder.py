"""TOFU from a local folder."""

import re
from pathlib import Path

from palimpsest.data import tofu
from palimpsest.data.dataset import Dataset
from palimpsest.data.settings import FolderSource
from palimpsest.errors import UserError

# What people call a file of refusals; under a name that is not read, our own would take its place.
_REFUSALS = re.compile(r"idk|i[-_ ]?do?n'?t[-_ ]?know|refusal", re.IGNORECASE)


def read_folder(source: FolderSource) -> Dataset:
    """Return TOFU as it lies in the source's folder.

    Raises UserError for a missing folder, a broken file, and refusals in a file that is not read.
    """
    folder = Path(source.path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such data folder; source.path names the folder of TOFU's JSON-lines files")
    others = (path for path in sorted(folder.iterdir()) if _REFUSALS.match(path.name) and path.name != tofu.REFUSALS)
    if other := next(others, None):
        raise UserError(f"{other}: not read: a folder's refusals are in {tofu.REFUSALS}, one a line: rename it")
    return tofu.read_tofu(folder, source)


def hash_files(source: FolderSource) -> dict[str, str]:
    """Return the sha256 of each file that is read, as far as they are there."""
    return tofu.hash_files(Path(source.path))
