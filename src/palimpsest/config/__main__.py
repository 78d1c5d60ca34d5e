"""`python -m palimpsest.config write` makes schema and reference anew; `resolved JSON` prints a config as YAML.

`measured JSON` prints which jobs of that config Snakemake measures, as the table of costs wants to know it. `check FILE...`
says in which line a config is no YAML, which Snakemake does not say of the files of --configfile.
"""

import argparse
import json
from pathlib import Path

from palimpsest.config.description import config_text
from palimpsest.config.docs import REFERENCE, SCHEMA, reference_text, schema_text
from palimpsest.config.files import read_file
from palimpsest.config.measured import list_measured
from palimpsest.config.messages import one_line
from palimpsest.config.study import Study


def main() -> None:
    """Run one of the four commands."""
    parser = argparse.ArgumentParser(prog="python -m palimpsest.config", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help=f"write {SCHEMA} and {REFERENCE}, in the repository's root")
    commands.add_parser("resolved", help="print a config given as JSON").add_argument("json")
    commands.add_parser("measured", help="print the measured jobs of a config given as JSON").add_argument("json")
    checked = commands.add_parser("check", help="say in which line of a config YAML would fail, drop a key or misread a value")
    checked.add_argument("files", nargs="+", type=Path)
    args = parser.parse_args()
    if args.command == "write":
        Path(SCHEMA).write_text(schema_text(), encoding="utf-8")
        Path(REFERENCE).write_text(reference_text(), encoding="utf-8")
    elif args.command == "check":
        with one_line():
            for path in args.files:
                read_file(path)
    elif args.command == "measured":
        print(json.dumps(list_measured(Study(json.loads(args.json)))))
    else:
        print(config_text(json.loads(args.json)), end="")


if __name__ == "__main__":
    main()
