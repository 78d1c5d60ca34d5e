"""What the pages share: their templates, and how these write settings, headers and files."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from palimpsest.report import templates
from palimpsest.report.names import REFERENCES
from palimpsest.report.style import colour_of
from palimpsest.report.words import format_score, format_sd


def page_environment(*packages: str) -> Environment:
    """Return the environment of the templates, including templates of other packages; it escapes every value."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (templates.__name__, *packages)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(colour=colour_of, flatten=flatten, groups=groups, references=REFERENCES)
    environment.globals.update(score=format_score, sd=format_sd)
    return environment


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return settings as text by name; `training` and `loss` give no prefix, and a task counts by its name."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, "" if name in ("training", "loss") else f"{name}.")
        else:
            flat[name] = _text(value)
    return flat


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item.get("task", item)) if isinstance(item, Mapping) else str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def groups(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Return each run of equal names with its length, for headers that span columns."""
    return ((name, len(list(run))) for name, run in groupby(names))


def data_uri(content: bytes, kind: str) -> str:
    """Return a file's bytes as a link that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
