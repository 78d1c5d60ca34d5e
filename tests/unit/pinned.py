"""Shipped studies with commits in place of those that `palimpsest pin` looks up."""

from pathlib import Path
from typing import Any

import yaml

COMMIT = "0" * 40


def read_pinned(path: Path) -> dict[str, Any]:
    """Return the config of a shipped study, with a commit for every repository."""
    text = path.read_text(encoding="utf-8").replace("revision: null", f'revision: "{COMMIT}"')
    config: dict[str, Any] = yaml.safe_load(text)
    return config
