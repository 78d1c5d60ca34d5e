"""How a split cuts the riddles: those of its name are forgotten, the others are retained."""

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
