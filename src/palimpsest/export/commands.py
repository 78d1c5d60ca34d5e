"""The command `palimpsest describe`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.arguments import filled_path

if TYPE_CHECKING:
    from palimpsest.arguments import Parser

FORMATS = ("markdown", "latex")


def add_exports(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to `palimpsest`."""
    text = "Print a methods section with BibTeX, made from a config: data, models, methods, metrics, seeds, selection, versions."
    described = commands.add_parser("describe", help="a methods section with BibTeX", description=text)
    described.add_argument("configs", nargs="*", metavar="CONFIG", type=filled_path, help="files merged over config.yaml")
    described.add_argument("--format", choices=FORMATS, default="markdown", help="default markdown")
    described.set_defaults(run=_describe, prog=described.prog)


def _describe(args: argparse.Namespace) -> int:
    from palimpsest.export.describe import WRITERS, describe
    from palimpsest.report.study import Study as Described
    from palimpsest.study.description import describe_study
    from palimpsest.study.files import over_base, read_configs
    from palimpsest.study.study import Study

    study = Study(read_configs(over_base(args.configs)))
    shown = Described.model_validate(describe_study(study))
    results = Path(study.results)
    parts = describe(shown, {name: study.benchmark(name).kind for name in shown.data}, results if results.is_dir() else None)
    print(WRITERS[args.format](parts))
    return 0
