"""The splits of MUSE: the first forget set, larger ones that contain it, and further requests."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palimpsest.benchmarks.corpora import FORGET
from palimpsest.errors import UserError

_SPLIT = re.compile(r"(scale|request)([1-9][0-9]*)")


def is_split(name: str) -> bool:
    """Return whether a name is forget, scale2, scale3 ... or request2, request3 ..."""
    match = _SPLIT.fullmatch(name)
    return name == FORGET or (match is not None and int(match[2]) > 1)


def number(name: str) -> int:
    """Return the number, from 1, of the split's last forget set."""
    match = _SPLIT.fullmatch(name)
    return int(match[2]) if match else 1


def predecessor(name: str) -> str | None:
    """Return the split whose unlearned model a request starts from; None for other splits."""
    if not name.startswith("request"):
        return None
    return FORGET if number(name) == 2 else f"request{number(name) - 1}"


def cut(data: Path, split: str, settings: Mapping[str, Any], out: Path) -> None:
    """Write the forget set of a split and the retain set from files of the data; raises UserError if the data lack the split."""
    forget = data / f"{split}.jsonl"
    if not forget.is_file():
        there = ", ".join(sorted(path.stem for path in data.glob("*.jsonl") if _SPLIT.fullmatch(path.stem)))
        raise UserError(f"split {split!r}: the data has none of that name: it has {there or 'no other than forget'}")
    shutil.copyfile(forget, out / "forget.jsonl")
    shutil.copyfile(data / "retain.jsonl", out / "retain.jsonl")
