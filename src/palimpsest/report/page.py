"""What the pages share: their templates, and how these write settings, headers and files."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import groupby
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from palimpsest.names import ROLES
from palimpsest.report import templates
from palimpsest.report.exports import downloads
from palimpsest.report.style import bundle, colour_of, dark_colours, svg_of
from palimpsest.report.words import format_score, format_sd, unbroken


@dataclass(frozen=True)
class Shown:
    """A figure on a page: a spec that a browser draws, and the same as SVG where it draws nothing."""

    name: str
    spec: Mapping[str, Any]
    svg: str
    csv: str = ""
    """Its numbers as a data URI."""

    @classmethod
    def of(cls, name: str, spec: dict[str, Any], csv: str = "") -> "Shown":
        """Return a figure that lies in no file."""
        return cls(name, spec, svg_of(spec), csv)

    @cached_property
    def image(self) -> str:
        """The SVG as a data URI."""
        return data_uri(self.svg.encode(), "image/svg+xml")

    @property
    def json(self) -> Markup:
        """The spec, in which no text can end the element that holds it."""
        return as_json(self.spec)


def as_json(value: Any) -> Markup:
    """Return a value as JSON for an element of a page that holds data; whatever text is in it cannot end the element."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", r"\u003c"))


def source_hash(script: str) -> str:
    """Return what a page's policy names a script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def page_environment(*packages: str) -> Environment:
    """Return the environment of the templates, including templates of other packages; it escapes every value."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (templates.__name__, *packages)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(colour=colour_of, flatten=flatten, groups=groups, roles=ROLES)
    environment.globals.update(score=format_score, sd=format_sd, downloads=downloads, as_json=as_json)
    script = (resources.files(templates) / "page.js").read_text(encoding="utf-8")
    environment.globals.update(script=script, bundle=bundle, dark_colours=dark_colours, source_hash=source_hash)
    environment.filters["unbroken"] = unbroken
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
