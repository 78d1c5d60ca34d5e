"""The command line of a stage."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from palimpsest.arguments import Parser, filled_path
from palimpsest.environment import scratch_folder, storage_folder
from palimpsest.provenance.digest import stage_module
from palimpsest.provenance.manifest import MANIFEST


def parse_stage(name: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a stage, by default those of this process; one line and exit 2 for a wrong one."""
    parser = Parser(prog=stage_module(name))
    parser.add_argument("--spec", required=True, help="the stage's spec as canonical JSON")
    parser.add_argument("--code", help="digest of the stage's code, with the names of its further modules")
    parser.add_argument("--in", dest="inputs", action="append", default=[], type=_named_path, metavar="NAME[:ID]=MANIFEST")
    parser.add_argument("--out", required=True, type=filled_path, metavar="MANIFEST")
    parser.add_argument("--scratch", type=filled_path, default=scratch_folder())
    parser.add_argument("--outputs", nargs="+", default=[], type=filled_path, help="with a storage: what the job's rule declares")
    args = parser.parse_args(arguments)
    if args.out.name != MANIFEST:
        parser.error(f"--out must name a {MANIFEST}")
    return args


def _named_path(text: str) -> tuple[str, Path]:
    label, _, manifest = text.partition("=")
    if not label or not manifest:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=MANIFEST")
    return label, Path(storage_folder() or "", manifest)
