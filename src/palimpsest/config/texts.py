"""The splits of a benchmark of texts: the first forget set, larger ones that hold it, and requests that come after it."""

import re

from palimpsest.config.models import FORGET

_SPLIT = re.compile(r"(scale|request)([1-9][0-9]*)")


def is_split(name: str) -> bool:
    """Return whether a name is that of a split: forget, scale2, scale3 ... or request2, request3 ..."""
    match = _SPLIT.fullmatch(name)
    return name == FORGET or (match is not None and int(match[2]) > 1)


def number(name: str) -> int:
    """Return which of the forget sets, counted from 1, a split is or ends with."""
    match = _SPLIT.fullmatch(name)
    return int(match[2]) if match else 1


def predecessor(name: str) -> str | None:
    """Return the split whose unlearned model a request is made of; None for what is no further request."""
    if not name.startswith("request"):
        return None
    return FORGET if number(name) == 2 else f"request{number(name) - 1}"
