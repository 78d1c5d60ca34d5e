"""A split forgets the riddles that have its name, and retains the other riddles."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .benchmark import SPLITS


def cut(data: Path, split: str, settings: Mapping[str, Any], out: Path) -> None:
    """Write the forget set and the retain set of a split; these splits have no settings."""
    (other,) = set(SPLITS) - {split}
    shutil.copyfile(data / f"{split}.jsonl", out / "forget.jsonl")
    shutil.copyfile(data / f"{other}.jsonl", out / "retain.jsonl")
