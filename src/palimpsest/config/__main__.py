"""`python -m palimpsest.config write` makes schema and reference anew; `resolved JSON` prints a config as YAML.

`measured JSON` prints which jobs of that config Snakemake measures, as the table of costs wants to know it. `check FILE...`
says in which line a config is no YAML, which Snakemake does not say of the files of --configfile.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from palimpsest.arguments import Parser, filled_path, refuse
from palimpsest.config.description import config_text
from palimpsest.config.docs import REFERENCE, SCHEMA, reference_text, schema_text
from palimpsest.config.files import read_file
from palimpsest.config.measured import list_measured
from palimpsest.config.messages import one_line
from palimpsest.config.stages import Artefacts
from palimpsest.config.study import Study
from palimpsest.errors import UserError


def main() -> None:
    """Run one of the four commands."""
    parser = Parser(prog="python -m palimpsest.config", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help=f"write {SCHEMA} and {REFERENCE}, in the repository's root")
    commands.add_parser("resolved", help="print a config given as JSON").add_argument("json", type=_config)
    commands.add_parser("measured", help="print the measured jobs of a config given as JSON").add_argument("json", type=_config)
    checked = commands.add_parser("check", help="say in which line of a config YAML would fail, drop a key or misread a value")
    checked.add_argument("files", nargs="+", type=filled_path)
    args = parser.parse_args()
    if args.command == "write":
        Path(SCHEMA).write_text(schema_text(), encoding="utf-8")
        Path(REFERENCE).write_text(reference_text(), encoding="utf-8")
    elif args.command == "check":
        with one_line():
            for path in args.files:
                read_file(path)
    elif args.command == "measured":
        try:
            print(json.dumps(list_measured(Artefacts(Study(args.json)))))
        except UserError as error:
            sys.exit(refuse(parser.prog, error))
    else:
        print(config_text(args.json), end="")


def _config(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from None
    if not isinstance(config, dict):
        raise argparse.ArgumentTypeError("a config is an object")
    return config


if __name__ == "__main__":
    main()
