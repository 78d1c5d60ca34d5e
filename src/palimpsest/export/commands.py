"""The commands `palimpsest export`, `push` and `describe`."""

from __future__ import annotations

import argparse
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.arguments import filled, filled_path
from palimpsest.errors import UserError
from palimpsest.helps import with_examples
from palimpsest.study.places import BASE

if TYPE_CHECKING:
    from palimpsest.arguments import Parser
    from palimpsest.export.models import Results

FORMATS = ("markdown", "latex")
EXPORTS = (
    "export results --to tensorboard runs",
    "export results --to card cards --license mit",
    "export results --to models models --merged",
)
# Targets that need an extra of the same name, which brings the module of the same name; and the others.
EXTRAS, PLAIN = ("tensorboard", "mlflow", "wandb"), ("card", "lm-eval-samples", "models")


def add_exports(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the commands to `palimpsest`."""
    text = (
        "Write results for other tools: offline directories of trackers, model cards, samples in lm-eval's format, or the"
        " unlearned models."
    )
    brief, examples = "results for trackers, model cards, lm-eval's samples, models", with_examples(*EXPORTS)
    exported = commands.add_parser("export", help=brief, description=text, **examples)
    exported.add_argument("results", type=filled_path, metavar="RESULTS", help="the folder of a finished study")
    exported.add_argument("--to", required=True, choices=(*EXTRAS, *PLAIN), help="the format")
    exported.add_argument("out", type=filled_path, metavar="DIR", help="a new folder, not below RESULTS")
    _add_merged(exported)
    _add_license(exported)
    exported.set_defaults(run=_export, prog=exported.prog)
    text = "Upload an unlearned model of a study to the Hub, with a model card; a new repository is private."
    examples = with_examples("push results/tofu/tiny/forget10/seed0/unlearn/simnpo/default/model org/name")
    pushed = commands.add_parser("push", help="upload an unlearned model to the Hub", description=text, **examples)
    pushed.add_argument("model", type=filled_path, metavar="MODEL_DIR", help="the folder `model` of a variant in the results")
    pushed.add_argument("repo", type=filled, metavar="ORG/NAME", help="the repository on the Hub, made if it is missing")
    pushed.add_argument("--public", action="store_true", help="make a new repository public")
    _add_merged(pushed)
    _add_license(pushed)
    pushed.set_defaults(run=_push, prog=pushed.prog)
    text = "Print a methods section with BibTeX, made from a config: data, models, methods, metrics, seeds, selection, versions."
    examples = with_examples("describe my-study.yaml", "describe --format latex")
    described = commands.add_parser("describe", help="a methods section with BibTeX", description=text, **examples)
    described.add_argument("configs", nargs="*", metavar="CONFIG", type=filled_path, default=[BASE], help="default config.yaml")
    described.add_argument("--format", choices=FORMATS, default="markdown", help="default markdown")
    described.set_defaults(run=_describe, prog=described.prog)


def _add_license(parser: Parser) -> None:
    parser.add_argument("--license", type=filled, metavar="ID", help="licence of the weights for the card, as the Hub names it")


def _add_merged(parser: Parser) -> None:
    parser.add_argument("--merged", action="store_true", help="write LoRA models with whole weights, not as adapters")


def _export(args: argparse.Namespace) -> int:
    if args.license and args.to != "card":
        raise UserError(f"--license: not with --to {args.to}; only a card names a licence")
    if args.merged and args.to != "models":
        raise UserError(f"--merged: not with --to {args.to}; only models have weights")
    if args.out.exists():
        raise UserError(f"{args.out}: already exists; an export needs a new folder")
    if args.out.resolve().is_relative_to(args.results.resolve()):
        raise UserError(f"{args.out}: inside {args.results}, where it would count as a part of the results")
    if args.to in EXTRAS and find_spec(args.to) is None:
        raise UserError(f"--to {args.to}: not installed; pip install 'palimpsest[{args.to}]'")
    from palimpsest.export.models import open_results

    results = open_results(args.results)
    try:
        _write(results, args)
    except BaseException:
        # A part of an export would look like a whole one.
        shutil.rmtree(args.out, ignore_errors=True)
        raise
    print(f"{args.out}: {len(results.models)} models of the study {results.study}")
    return 0


def _write(results: Results, args: argparse.Namespace) -> None:
    if args.to == "card":
        from palimpsest.export.card import write_cards

        write_cards(results, args.out, args.license)
    elif args.to == "models":
        from palimpsest.export.card import write_models

        write_models(results, args.out, merged=args.merged)
    elif args.to == "lm-eval-samples":
        from palimpsest.export.samples import write_samples

        write_samples(results, args.out)
    else:
        from palimpsest.export.trackers import TRACKERS

        TRACKERS[args.to](results, args.out)


def _push(args: argparse.Namespace) -> int:
    from palimpsest.export.push import push

    print(push(args.model, args.repo, public=args.public, merged=args.merged, license=args.license))
    return 0


def _describe(args: argparse.Namespace) -> int:
    from palimpsest.audit.artefacts import has_artefacts
    from palimpsest.export.describe import WRITERS, describe
    from palimpsest.report.study import Study as Described
    from palimpsest.study.description import describe_study
    from palimpsest.study.files import read_configs
    from palimpsest.study.study import Study

    study = Study(read_configs(args.configs))
    shown = Described.model_validate(describe_study(study))
    results = Path(study.results)
    parts = describe(
        shown, {name: study.benchmark(name).kind for name in shown.data}, results if has_artefacts(results) else None
    )
    print(WRITERS[args.format](parts))
    return 0
