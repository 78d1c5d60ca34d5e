"""The page `docs/reference/commands.md`: the help of `palimpsest` and of all its subcommands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

PAGE = "docs/reference/commands.md"
HEAD = """# Commands

Made by `python -m palimpsest.study write` from the parsers of the commands; a test compares them. Every command has `--help`.
Exit codes: 0 success; 2 an error in the command, config or data; 1 findings of `audit`, other bytes in `accept`, a failed job in
`evaluate`. Those of a run are in [faults.md](../faults.md).
"""


def commands_text(parser: argparse.ArgumentParser) -> str:
    """Return the page: a section per command of a parser, in the order of its help."""
    return HEAD + "".join(_sections(parser))


def _sections(parser: argparse.ArgumentParser) -> Iterator[str]:
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    own = [action for action in parser._actions if action not in inner and action.dest != "help"]
    yield f"\n## {parser.prog}\n\n{parser.description}\n"
    if own:
        yield "\n| argument | meaning |\n|---|---|\n"
        yield from (f"| {_name(action)} | {_help(action, parser)} |\n" for action in own)
    if parser.epilog:
        yield f"\n```\n{parser.epilog.strip()}\n```\n"
    for action in inner:
        for each in dict.fromkeys(action.choices.values()):
            yield from _sections(each)


def _name(action: argparse.Action) -> str:
    """Return how an argument is given: its value in capitals, `...` for several."""
    options = action.option_strings[-1:]
    if action.nargs != 0:
        named = ", ".join(map(str, action.choices)) if action.choices else action.dest.upper()
        value = action.metavar or named
        words = value if isinstance(value, str) else " ".join(value)
        options = [*options, words + "..." * (action.nargs in ("+", "*"))]
    return _cell(f"`{' '.join(options)}`")


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    return _cell(text + " (required)" * bool(action.required and action.option_strings))


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
