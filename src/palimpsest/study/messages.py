"""One clear line for each config error: the place, the problem and the allowed values."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from palimpsest.errors import USER_ERROR_EXIT, UserError
from palimpsest.mistakes import place, suggest

# Keys and variants of earlier versions, and their current names.
RENAMED = {
    "strengthening": "reinforcing",
    "piece_tokens": "chunk_tokens",
    "pieces_per_text": "chunks_per_text",
    "chosen": "selected",
}
# Snakemake reads the values inside a value of --config as text.
UNQUOTED = "without quotes, in a file (inside --config everything is text)"


@contextmanager
def one_line() -> Iterator[None]:
    """Print a user error as one line, and exit Snakemake with code 2."""
    try:
        yield
    except UserError as error:
        print(f"palimpsest: {error}", file=sys.stderr)
        sys.exit(USER_ERROR_EXIT)


def explain(error: ValidationError, raw: Any, schema: dict[str, Any], *at: str | int) -> str:
    """Return the first mistake of a failed validation in one line.

    `raw` is the checked value, `schema` its JSON schema and `at` its place in the config.
    """
    first, *others = error.errors()
    text = f"{place(*at, *_keys(first, raw))}: {_problem(first, schema)}"
    return text + (f" (and {len(others)} more)" if others else "")


def _keys(error: ErrorDetails, raw: Any) -> list[str | int]:
    """Return the location of an error without the tags of unions, which are not keys of the config."""
    keys: list[str | int] = []
    for item in error["loc"]:
        try:
            raw = raw[item]
        except (KeyError, IndexError, TypeError):
            continue
        keys.append(item)
    return keys[:-1] if error["type"] == "extra_forbidden" else keys


def _problem(error: ErrorDetails, schema: dict[str, Any]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        if (renamed := RENAMED.get(str(error["loc"][-1]))) in (allowed := [*_properties(schema, error["loc"][:-1])]):
            return f"the key {error['loc'][-1]!r} is now called {renamed!r}"
        return suggest("key", error["loc"][-1], allowed)
    if kind == "missing":
        return f"the key {error['loc'][-1]!r} is missing"
    if kind in ("union_tag_invalid", "literal_error"):
        expected = re.findall(r"'([^']*)'", str(context.get("expected_tags", context.get("expected", ""))))
        return suggest("kind" if kind == "union_tag_invalid" else "value", context.get("tag", value), expected)
    if kind == "union_tag_not_found":
        return "the key 'kind' is missing"
    if kind == "name":
        return error["msg"]
    if kind == "value_error":
        return str(context["error"])
    if kind in ("float_type", "int_type") and isinstance(value, str):
        return f"{value!r} is text; {_number_advice(value)}"
    if kind == "bool_type" and value in ("true", "false"):
        return f"{value!r} is text; write {value} {UNQUOTED}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{value!r} should be a mapping of keys to values"
    if kind == "too_short":
        return f"{value!r}: at least one is needed"
    return f"{value!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _number_advice(text: str) -> str:
    """Return advice on how to write a number; YAML reads 1e-5 as text, because it has no decimal point."""
    try:
        float(text)
    except ValueError:
        return "expected a number"
    if match := re.fullmatch(r"([+-]?\d+)[eE]([+-]?)(\d+)", text):
        return f"write {match[1]}.0e{match[2] or '+'}{match[3]} for the number"
    return f"write a number {UNQUOTED}"


def _properties(schema: dict[str, Any], keys: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the JSON schema allows at a location of a pydantic error."""
    node = schema
    for key in keys:
        node = _resolve(node, schema)
        if isinstance(key, int):
            node = node["items"]
        elif key in node.get("properties", {}):
            node = node["properties"][key]
        elif "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"][key]}
        else:
            node = next(iter(node["patternProperties"].values())) if "patternProperties" in node else node["additionalProperties"]
    return list(_resolve(node, schema).get("properties", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references; of a union with null, follow the other member."""
    while "$ref" in node or "anyOf" in node:
        if "anyOf" in node:
            node = next(choice for choice in node["anyOf"] if choice.get("type") != "null")
        else:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return node
