"""`python -m palimpsest.study write` regenerates the schema, the config reference and all pages that are made from the code.

`check FILE...` prints the line in which a config is not YAML; Snakemake does not print it for files of --configfile.
"""

from pathlib import Path

from palimpsest.arguments import Parser, filled_path
from palimpsest.study.files import read_file
from palimpsest.study.messages import one_line
from palimpsest.study.written import written


def main() -> None:
    """Run one of the two commands."""
    parser = Parser(prog="python -m palimpsest.study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    text = "write the schema of configs and the generated pages of the documentation, in the repository's root"
    commands.add_parser("write", help=text)
    checked = commands.add_parser("check", help="print the line of a config in which YAML fails, drops a key or misreads a value")
    checked.add_argument("files", nargs="+", type=filled_path)
    args = parser.parse_args()
    if args.command == "write":
        for path, text in written().items():
            Path(path).write_text(text, encoding="utf-8")
    else:
        with one_line():
            for path in args.files:
                read_file(path)


if __name__ == "__main__":
    main()
