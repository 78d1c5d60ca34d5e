"""The files beside a report: `resolved JSON` prints a config as YAML, `measured JSON` the spec of its cost table; - is stdin."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from palimpsest.arguments import Parser, refuse
from palimpsest.environment import storage_folder
from palimpsest.errors import UserError
from palimpsest.provenance.manifest import ENVIRONMENT
from palimpsest.study.description import config_text
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study


def main() -> int:
    """Run one of the two commands."""
    parser = Parser(prog="python -m palimpsest.study.publish", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, prints in (("resolved", "print a config as YAML"), ("measured", "print the spec of its cost table")):
        commands.add_parser(name, help=prints).add_argument("json", type=_config)
    args = parser.parse_args()
    if args.command == "resolved":
        print(config_text(args.json), end="")
        return 0
    try:
        print(json.dumps(list_measured(Artefacts(Study(args.json)))))
    except UserError as error:
        return refuse(parser.prog, error)
    return 0


def list_measured(artefacts: Artefacts) -> dict[str, Any]:
    """Return the spec of a study's cost table: every job that computes with a model, in the order of the pipeline."""
    study = artefacts.study
    jobs = [
        {
            "stage": node.stage,
            **{name: value for name, value in node.columns.items() if value not in ("", None)},
            "file": f"{node.path}/{ENVIRONMENT}",
        }
        for node in artefacts.measured()
    ]
    return {"study": study.config.study, "folder": str(Path(storage_folder() or "", study.results)), "jobs": jobs}


def _config(text: str) -> dict[str, Any]:
    try:
        config = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(config, dict):
        raise argparse.ArgumentTypeError("a config must be an object")
    return config


if __name__ == "__main__":
    sys.exit(main())
