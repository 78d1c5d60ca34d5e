"""Shipped studies with commits in place of those that `palimpsest pin` looks up."""

from pathlib import Path
from typing import Any

import yaml

from palimpsest.study.files import read_configs

COMMIT = "0" * 40


def read_pinned(path: Path) -> dict[str, Any]:
    """Return what the file of a shipped study says, with a commit for every repository."""
    config: dict[str, Any] = _pinned(yaml.safe_load(path.read_text(encoding="utf-8")))
    return config


def read_study(path: Path) -> dict[str, Any]:
    """Return the whole config of a shipped study, with a commit for every repository."""
    config: dict[str, Any] = _pinned(read_configs([path]))
    return config


def _pinned(value: Any) -> Any:
    if isinstance(value, list):
        return [_pinned(item) for item in value]
    if not isinstance(value, dict):
        return value
    pinned = {key: COMMIT if (key, inner) == ("revision", None) else _pinned(inner) for key, inner in value.items()}
    is_gated = (pinned.get("kind"), pinned.get("subject")) == ("wmdp-hub", "bio")
    return {**pinned, "gated_revision": COMMIT} if is_gated else pinned
