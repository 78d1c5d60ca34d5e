"""Text that code draws from, in a YAML file with the module's name; the code digest of the module covers this file."""

from pathlib import Path
from typing import Any

import yaml


def read_beside(module: str) -> Any:
    """Return the content of a module's YAML file, given the module's `__file__`; a block of lines becomes a list of lines."""
    return _split(yaml.safe_load(Path(module).with_suffix(".yaml").read_text(encoding="utf-8")))


def _split(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _split(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_split(item) for item in node]
    return node.splitlines() if isinstance(node, str) and node.endswith("\n") else node
