"""Where data come from: for each kind of source the module that reads it, imported alone, and the files it reads."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from palimpsest.data.settings import LocalSource, Source

if TYPE_CHECKING:
    from palimpsest.data.dataset import Dataset
    from palimpsest.data.texts import MuseData, WmdpData

# Each has a function `read_<kind>`, and for a local folder `hash_files`.
MODULES = {
    "world": "world",
    "hub": "hub",
    "folder": "folder",
    "muse-world": "world_texts",
    "muse-hub": "muse",
    "muse-folder": "muse",
    "austen": "austen",
    "wmdp-world": "world_hazards",
    "wmdp-hub": "wmdp",
    "wmdp-folder": "wmdp",
}
# The sets with rows that an evaluation may read, by kind of source; their names are patterns.
_TOFU = ("forget", "retain", "real_authors", "world_facts", "refusals")
_MUSE = (
    *("forget", "retain", "original", "retrain", "verbatim", "members", "nonmembers"),
    *("knowledge_forget", "examples_forget", "knowledge_retain", "examples_retain", "scale[2-9]", "request[2-9]"),
)
SETS = {
    **dict.fromkeys(("world", "hub", "folder"), _TOFU),
    **dict.fromkeys(("muse-hub", "muse-folder"), _MUSE),
    **dict.fromkeys(("muse-world", "austen"), (*_MUSE, "base")),
    **dict.fromkeys(("wmdp-hub", "wmdp-folder"), ("forget", "retain")),
    "wmdp-world": ("forget", "retain", "original", "hazards", "general", "base"),
}


def module_name(kind: str) -> str:
    """Return the module that reads a kind of source."""
    return f"palimpsest.data.{MODULES[kind]}"


def read_source(source: Source) -> Dataset | MuseData | WmdpData:
    """Return the data set of a source; raises UserError, one line, for one that cannot be read."""
    module = importlib.import_module(module_name(source.kind))
    data: Dataset | MuseData | WmdpData = getattr(module, f"read_{source.kind.replace('-', '_')}")(source)
    return data


def hash_folder(source: LocalSource) -> dict[str, str]:
    """Return the sha256 of each file that is read of a local source, as far as they are there."""
    hashes: dict[str, str] = importlib.import_module(module_name(source.kind)).hash_files(source)
    return hashes
