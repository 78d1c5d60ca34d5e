"""`python -m palimpsest.study write` regenerates the schema, the config reference and the pages on reruns, on claims and on
published numbers.

`check FILE...` prints the line in which a config is not YAML; Snakemake does not print it for files of --configfile.
"""

from pathlib import Path

from palimpsest.arguments import Parser, filled_path
from palimpsest.report.claims_page import CLAIMS, claims_text
from palimpsest.study.budget import PAGE, budget_text
from palimpsest.study.docs import REFERENCE, SCHEMA, reference_text, schema_text
from palimpsest.study.field_numbers import PAGE as FIELD_NUMBERS
from palimpsest.study.field_numbers import field_numbers_text
from palimpsest.study.files import read_file
from palimpsest.study.messages import one_line


def main() -> None:
    """Run one of the two commands."""
    parser = Parser(prog="python -m palimpsest.study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "write", help=f"write {SCHEMA}, {REFERENCE}, {PAGE}, {CLAIMS} and {FIELD_NUMBERS}, in the repository's root"
    )
    checked = commands.add_parser("check", help="print the line of a config in which YAML fails, drops a key or misreads a value")
    checked.add_argument("files", nargs="+", type=filled_path)
    args = parser.parse_args()
    if args.command == "write":
        Path(SCHEMA).write_text(schema_text(), encoding="utf-8")
        Path(REFERENCE).write_text(reference_text(), encoding="utf-8")
        Path(PAGE).write_text(budget_text(), encoding="utf-8")
        Path(CLAIMS).write_text(claims_text(), encoding="utf-8")
        Path(FIELD_NUMBERS).write_text(field_numbers_text(), encoding="utf-8")
    else:
        with one_line():
            for path in args.files:
                read_file(path)


if __name__ == "__main__":
    main()
