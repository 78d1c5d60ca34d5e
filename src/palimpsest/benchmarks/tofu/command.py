"""The command `palimpsest score tofu`."""

import argparse
import json
from typing import Any

from palimpsest.arguments import Parser, filled_path
from palimpsest.helps import with_examples


def add_score(suites: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command to `palimpsest score`."""
    text = "Model utility and forget quality of a log in TOFU's, NPO's, open-unlearning's or Palimpsest's format."
    examples = with_examples("score tofu --log mine/TOFU_EVAL.json --retrain retrain90/TOFU_EVAL.json")
    tofu = suites.add_parser("tofu", help="model utility and forget quality of TOFU", description=text, **examples)
    tofu.add_argument(
        "--log", required=True, type=filled_path, help="log of the model: a file, or the directory that contains it"
    )
    tofu.add_argument("--retrain", type=filled_path, metavar="LOG", help="log of the model retrained without the forget set")
    tofu.add_argument("--allow-mismatch", action="store_true", help="compare even if the logs have different forget questions")
    tofu.add_argument("--json", action="store_true", help="print one JSON object")
    tofu.set_defaults(run=_score, prog=tofu.prog)


def _score(args: argparse.Namespace) -> int:
    from palimpsest.benchmarks.tofu.score import format_score, score_log

    result: dict[str, Any] = score_log(args.log, args.retrain, allow_mismatch=args.allow_mismatch)
    print(json.dumps(result, indent=1, allow_nan=False) if args.json else format_score(result))
    return 0
