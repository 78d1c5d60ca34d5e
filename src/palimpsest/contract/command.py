"""The command line of a stage."""

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from palimpsest.arguments import Parser, filled_path
from palimpsest.environment import scratch_folder, storage_folder
from palimpsest.errors import UserError
from palimpsest.provenance.digest import stage_module
from palimpsest.provenance.manifest import MANIFEST


def parse_stage(name: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a stage, by default those of this process; one line and exit 2 for a wrong one."""
    parser = Parser(prog=stage_module(name))
    parser.add_argument("--spec", required=True, type=spec_text, help="the stage's spec as canonical JSON, or @FILE")
    parser.add_argument("--code", help="digest of the stage's code, with the names of its further modules")
    parser.add_argument("--in", dest="inputs", action="append", default=[], type=_named_path, metavar="NAME[:ID]=MANIFEST")
    parser.add_argument("--out", required=True, type=filled_path, metavar="MANIFEST")
    parser.add_argument("--scratch", type=filled_path, default=scratch_folder())
    parser.add_argument("--outputs", nargs="+", default=[], type=filled_path, help="with a storage: what the job's rule declares")
    args = parser.parse_args(arguments)
    if args.out.name != MANIFEST:
        parser.error(f"--out must name a {MANIFEST}")
    return args


def with_spec(arguments: Sequence[str]) -> list[str]:
    """Return a stage's arguments with the text of the file in place of `--spec @FILE`, which may be read only once."""
    return [spec_text(given) if option == "--spec" else given for option, given in pairwise(["", *arguments])]


def spec_text(given: str) -> str:
    """Return a spec that is given as it stands or as @FILE; raises UserError for a file that cannot be read."""
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"--spec: {given[1:]}: {error}") from None


def _named_path(text: str) -> tuple[str, Path]:
    label, _, manifest = text.partition("=")
    if not label or not manifest:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=MANIFEST")
    return label, Path(storage_folder() or "", manifest)
