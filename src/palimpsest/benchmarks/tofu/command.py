"""The command `palimpsest score tofu`."""

import argparse
import json
from pathlib import Path
from typing import Any

from palimpsest.arguments import Parser, filled, filled_path, pairs
from palimpsest.errors import UserError
from palimpsest.helps import with_examples

FORMATS = ("text", "json", "markdown", "latex")


def add_score(suites: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command to `palimpsest score`."""
    text = "Model utility and forget quality of a log in TOFU's, NPO's, open-unlearning's or Palimpsest's format."
    examples = with_examples("score tofu --log mine/TOFU_EVAL.json --retrain retrain90/TOFU_EVAL.json")
    tofu = suites.add_parser("tofu", help="model utility and forget quality of TOFU", description=text, **examples)
    tofu.add_argument(
        "--log",
        required=True,
        nargs="+",
        type=_named,
        metavar="[NAME=]LOG",
        help="log of the model: a file, or the directory that contains it; several logs make a table, with a name each",
    )
    tofu.add_argument("--retrain", type=filled_path, metavar="LOG", help="log of the model retrained without the forget set")
    tofu.add_argument("--allow-mismatch", action="store_true", help="compare even if the logs have different forget questions")
    tofu.add_argument("--format", choices=FORMATS, help="default text")
    tofu.add_argument("--json", action="store_true", help="the same as --format json")
    tofu.set_defaults(run=_score, prog=tofu.prog)


def _score(args: argparse.Namespace) -> int:
    from palimpsest.benchmarks.tofu.comparison import WRITERS, compare
    from palimpsest.benchmarks.tofu.score import format_score, score_log

    if args.json and args.format not in (None, "json"):
        raise UserError(f"--json: not with --format {args.format}")
    form = "json" if args.json else args.format or "text"
    logs = {name: Path(path) for name, path in pairs(args.log, "--log").items()}
    if len(logs) > 1 or form in ("markdown", "latex"):
        print(WRITERS[form](compare(logs, args.retrain, allow_mismatch=args.allow_mismatch)))
        return 0
    (log,) = logs.values()
    result: dict[str, Any] = score_log(log, args.retrain, allow_mismatch=args.allow_mismatch)
    print(json.dumps(result, indent=1, allow_nan=False) if form == "json" else format_score(result))
    return 0


def _named(text: str) -> tuple[str, str]:
    """Return the name and the path of a log; a path without a name is its own name, even if it contains "="."""
    name, separator, path = filled(text).partition("=")
    return (name, filled(path)) if separator and name and not Path(text).exists() else (text, text)
