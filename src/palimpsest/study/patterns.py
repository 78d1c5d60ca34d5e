"""Settings by pattern, such as `tofu/*/tiny`: all matching patterns are merged, the most specific last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

Value = TypeVar("Value")
ANY = "*"


def matching(table: Mapping[str, Value], key: Sequence[str]) -> list[Value]:
    """Return the values whose patterns match a key, least specific first.

    A pattern with more literal segments is more specific; of two with equally many, the one whose literal segments are further
    right (method before model before split before benchmark). Two different patterns that match the same key never tie.
    """
    return [table[pattern] for pattern in matching_patterns(table, key)]


def matching_patterns(table: Iterable[str], key: Sequence[str]) -> list[str]:
    """Return the patterns that match a key, least specific first."""
    return sorted((pattern for pattern in table if matches(pattern, key)), key=_specificity)


def matches(pattern: str, key: Sequence[str]) -> bool:
    """Return whether a pattern matches a key: both have the same number of segments, and each is * or the key's own."""
    parts = pattern.split("/")
    return len(parts) == len(key) and all(part in (ANY, name) for part, name in zip(parts, key, strict=True))


def merge(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one mapping; a later layer's value replaces an earlier layer's."""
    return {key: value for layer in layers for key, value in layer.items()}


def _specificity(pattern: str) -> tuple[int, tuple[bool, ...]]:
    literal = tuple(part != ANY for part in pattern.split("/"))
    return sum(literal), literal[::-1]
