"""Text files that people made, read line by line; what is no text in UTF-8 is told by its true cause, with file and line."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from palimpsest import strict_json
from palimpsest.errors import UserError

# How files begin that are often taken for a text file.
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
    """Return what a file is by its first bytes, and what to do; None where they are those of no other kind of file."""
    with path.open("rb") as file:
        head = file.read(64)
    return next((kind for sign, kind in SIGNS.items() if head.startswith(sign)), None)


def find_half(text: str) -> str | None:
    """Return the first half of a surrogate pair in a text, escaped: it is no character, and no file in UTF-8 can hold it."""
    half = _HALF.search(text)
    return half and ascii(half[0])[1:-1]


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, keys among them."""
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
    """Yield the lines of a text file that are not blank, with their numbers, cut at newlines only: texts hold other separators.

    A byte-order mark and carriage returns before newlines are left out. Raises UserError naming file and line.
    """
    for number, line in _lines(path):
        if line.strip():
            yield number, line.removesuffix("\n").removesuffix("\r")


def read_text(path: Path) -> str:
    """Return the text of a file, without a byte-order mark; raises UserError naming file and line."""
    return "".join(line for _, line in _lines(path))


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON-lines file with the numbers of their lines; blank lines are left out.

    Raises UserError naming file and line for what is no JSON object, holds a key twice, or half of a surrogate pair.
    """
    for number, line in _lines(path):
        if not line.strip():
            continue
        row = _parse(path, number, line)
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: no JSON object; each line is one")
        if _ESCAPED_HALF.search(line) and (half := next(filter(None, map(find_half, texts_in(row))), None)):
            raise UserError(f"{path}:{number}: {half} is half of a surrogate pair, and no character")
        yield number, row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        if kind := sign_of(path):
            raise UserError(f"{path}: {kind}")
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if b"\0" in line:
                    raise UserError(f"{path}:{number}: a NUL byte: the file is damaged, or no text in UTF-8")
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
        raise UserError(f"{path}:{number}: no JSON: {_cause(line, error)}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}:{number}: no JSON: {error}") from None


def _cause(line: str, error: json.JSONDecodeError) -> str:
    if line.strip() in ("[", "{") or line.lstrip().startswith("[{"):
        return "an object or list goes on in the next line; each line is an object of its own"
    said = f"{error.msg}, column {error.colno}"
    return said if line.endswith("\n") else f"{said}; the file is cut short"
