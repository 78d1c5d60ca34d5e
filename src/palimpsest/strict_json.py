"""JSON without duplicate names; the module `json` silently keeps only the last value of a duplicate name."""

import json
from pathlib import Path
from typing import Any

from palimpsest.errors import UserError


class Twice(ValueError):
    """A duplicate name in an object of a JSON text; the message names the place."""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file in UTF-8, 16 or 32, with or without a byte-order mark.

    Raises UserError for a file that is not JSON or has a duplicate name in an object, and OSError.
    """
    try:
        return parse(path.read_bytes())
    except Twice as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON, or truncated: {error}") from None


def parse(text: str | bytes) -> Any:
    """Return the content of a JSON text; raises Twice and the errors of `json.loads`."""
    repeated: list[_Repeated] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            repeated.append(made := _Repeated(pairs))
        return made

    content = json.loads(text, object_pairs_hook=collect)
    if repeated:
        raise Twice(": ".join([*(_place_of(repeated[0], content) or []), f"{repeated[0].name!r} stands twice"]))
    return content


class _Repeated(dict[str, Any]):
    """An object with a duplicate name."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.name = next(name for name in names if names.count(name) > 1)


def _place_of(wanted: object, within: Any) -> list[str] | None:
    """Return the path of names that leads to an object; None if it is not found."""
    if wanted is within:
        return []
    inner = within.items() if isinstance(within, dict) else enumerate(within) if isinstance(within, list) else ()
    found = ((name, _place_of(wanted, value)) for name, value in inner)
    return next(([str(name), *rest] for name, rest in found if rest is not None), None)
