"""JSON in which no name stands twice, since `json` keeps the last value and drops the others without a word."""

import json
from pathlib import Path
from typing import Any

from palimpsest.errors import UserError


def read_json(path: Path) -> Any:
    """Return the content of a JSON file in UTF-8, 16 or 32, with or without a byte-order mark.

    Raises UserError for a file that is no JSON and for a name that stands twice in one object, and OSError.
    """
    repeated: list[_Repeated] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            repeated.append(made := _Repeated(pairs))
        return made

    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=collect)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON, or cut short: {error}") from None
    if repeated:
        place = [str(path), *(_place_of(repeated[0], content) or [])]
        raise UserError(f"{': '.join(place)}: {repeated[0].name!r} stands twice")
    return content


class _Repeated(dict[str, Any]):
    """An object of a JSON file in which a name stands twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.name = next(name for name in names if names.count(name) > 1)


def _place_of(wanted: object, within: Any) -> list[str] | None:
    """Return the names that lead to an object; None where it is not there."""
    if wanted is within:
        return []
    inner = within.items() if isinstance(within, dict) else enumerate(within) if isinstance(within, list) else ()
    found = ((name, _place_of(wanted, value)) for name, value in inner)
    return next(([str(name), *rest] for name, rest in found if rest is not None), None)
