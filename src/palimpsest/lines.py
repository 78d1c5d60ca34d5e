"""Read text files line by line; the error for a file that is not UTF-8 text names the true cause, file and line."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from palimpsest import strict_json
from palimpsest.errors import UserError

# First bytes of files that are often mistaken for text files.
SIGNS = {
    b"\x1f\x8b": "compressed by gzip: unpack it",
    b"BZh": "compressed by bzip2: unpack it",
    b"\xfd7zXZ": "compressed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"PAR1": "a parquet file: its name ends in .parquet",
    codecs.BOM_UTF16_LE: "UTF-16: save it as UTF-8",
    codecs.BOM_UTF16_BE: "UTF-16: save it as UTF-8",
    b"version https://git-lfs.github.com": "a pointer of Git LFS in place of the file: git lfs pull",
    b"<!DOCTYPE html": "a web page: download the file itself",
    b"<html": "a web page: download the file itself",
}
_HALF = re.compile("[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def sign_of(path: Path) -> str | None:
    """Return the kind of a file by its first bytes, with advice; None if it may be a text file."""
    with path.open("rb") as file:
        head = file.read(64)
    return next((kind for sign, kind in SIGNS.items() if head.startswith(sign)), None)


def find_half(text: str) -> str | None:
    """Return the first unpaired surrogate in a text, escaped; it is not a character, and UTF-8 cannot encode it."""
    half = _HALF.search(text)
    return half and ascii(half[0])[1:-1]


def texts_in(value: Any) -> Iterator[str]:
    """Yield every string in a JSON value, including keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the non-blank lines of a text file with their numbers, split only at newlines, as texts may contain other separators.

    A byte-order mark and carriage returns before newlines are removed. Raises UserError that names file and line.
    """
    for number, line in _lines(path):
        if line.strip():
            yield number, line.removesuffix("\n").removesuffix("\r")


def read_text(path: Path) -> str:
    """Return the text of a file without a byte-order mark; raises UserError that names file and line."""
    return "".join(line for _, line in _lines(path))


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON-lines file with their line numbers, skipping blank lines.

    Raises UserError that names file and line for a line that is not a JSON object, has a duplicate key or an unpaired surrogate.
    """
    for number, line in _lines(path):
        if not line.strip():
            continue
        row = _parse(path, number, line)
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: not a JSON object; each line must be one")
        if _ESCAPED_HALF.search(line) and (half := next(filter(None, map(find_half, texts_in(row))), None)):
            raise UserError(f"{path}:{number}: {half} is half of a surrogate pair, not a character")
        yield number, row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        if kind := sign_of(path):
            raise UserError(f"{path}: {kind}")
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if b"\0" in line:
                    raise UserError(f"{path}:{number}: a NUL byte: the file is damaged or not UTF-8 text")
                try:
                    yield number, (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
                except UnicodeDecodeError as error:
                    raise UserError(f"{path}:{number}: byte {error.start + 1} of the line is not UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _parse(path: Path, number: int, line: str) -> Any:
    try:
        return strict_json.parse(line)
    except strict_json.Twice as error:
        raise UserError(f"{path}:{number}: {error}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{number}: not JSON: {_cause(line, error)}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}:{number}: not JSON: {error}") from None


def _cause(line: str, error: json.JSONDecodeError) -> str:
    if line.strip() in ("[", "{") or line.lstrip().startswith("[{"):
        return "an object or list continues on the next line; each line must be one object"
    said = f"{error.msg}, column {error.colno}"
    return said if line.endswith("\n") else f"{said}; the file is truncated"
