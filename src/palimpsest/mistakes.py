"""Messages for errors in a config: the place, and what is allowed there."""

import difflib
import re
from collections.abc import Iterable

from palimpsest.errors import UserError


def suggest(what: str, name: object, allowed: Iterable[str]) -> str:
    """Return "unknown method 'simpo'; did you mean simnpo? allowed: ..."; the guess only if there is a close match."""
    names = list(allowed)
    near = difflib.get_close_matches(str(name), names, n=1)
    guess = f"; did you mean {near[0]}? " if near else "; "
    return f"unknown {what} {name!r}{guess}allowed: {', '.join(names) or 'none are defined'}"


def place(*keys: str | int) -> str:
    """Return a path in the config such as `blocks[0]: methods`, with patterns in quotes."""
    text = "config"
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f': "{key}"' if re.search(r"[^\w.+-]", key) else f": {key}"
    return text


def known(what: str, names: Iterable[str], allowed: Iterable[str], *keys: str | int) -> None:
    """Raise UserError for the first name that is not allowed."""
    for name in names:
        if name not in allowed:
            raise UserError(f"{place(*keys)}: {suggest(what, name, allowed)}")
