"""Command lines: types of arguments with ranges, and a parser that reports errors in one line with exit code 2."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from palimpsest.errors import USER_ERROR_EXIT, UserError

# Far beyond any quantity here. Larger numbers, or numbers below the reciprocal, may overflow in arithmetic.
LARGEST = 1e18


class _Once(argparse.Action):
    """Store the value of an option and refuse a repeated option, of which argparse would silently keep the last."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        given: set[str] = namespace.__dict__.setdefault("given", set())
        if option and self.dest in given:
            parser.error(f"argument {option}: given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """A parser that refuses repeated and abbreviated options and reports errors in one line."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})
        for action in (None, "store"):
            self.register("action", action, _Once)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(USER_ERROR_EXIT, f"{self.prog}: error: {UserError(message)} (--help says more)\n")


def refuse(prog: str, error: UserError | OSError) -> int:
    """Print an error in one line and return the exit code; an OSError concerns a path that the user gave."""
    print(f"{prog}: {error}", file=sys.stderr)
    return error.exit if isinstance(error, UserError) else USER_ERROR_EXIT


def whole(least: int) -> Callable[[str], int]:
    """Return the argument type of a whole number that is at least `least`."""

    def read(text: str) -> int:
        number: int | None = _read(int, text)
        if number is None or not least <= number <= LARGEST:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, at least {least}")
        return number

    return read


def positive(text: str) -> float:
    """Read a finite number above 0."""
    number: float | None = _read(float, text)
    if number is None or not 1 / LARGEST <= number <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number above 0")
    return number


def share(text: str) -> float:
    """Read a number above 0 and at most 1."""
    number: float | None = _read(float, text)
    if number is None or not 1 / LARGEST <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number above 0 and at most 1")
    return number


def filled(text: str) -> str:
    """Read a string that is not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError("empty")
    return text


def filled_path(text: str) -> Path:
    """Read a path; an empty path, which would mean the working directory, is refused."""
    return Path(filled(text))


def pairs(given: Sequence[tuple[str, str]], option: str) -> dict[str, str]:
    """Return NAME=VALUE pairs as a dictionary; raises UserError for a repeated name."""
    names = [name for name, _ in given]
    if again := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{option}: {again} is given twice")
    return dict(given)


def _read(kind: Callable[[str], Any], text: str) -> Any:
    try:
        number = kind(text)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
