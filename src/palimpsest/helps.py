"""Examples at the end of a command's help."""

import argparse
from typing import Any

EXAMPLES = "examples:"


class _Formatter(argparse.HelpFormatter):
    """Keep the lines of the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLES) else super()._fill_text(text, width, indent)


def with_examples(*commands: str) -> dict[str, Any]:
    """Return the options of a parser whose help ends with examples of `palimpsest`."""
    lines = [EXAMPLES, *(f"  palimpsest {command}" for command in commands)]
    return {"epilog": "\n".join(lines), "formatter_class": _Formatter}
