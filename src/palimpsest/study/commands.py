"""The commands `palimpsest list`, `show` and `validate`, which look at a study without running it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from palimpsest.arguments import filled, filled_path
from palimpsest.errors import UserError
from palimpsest.helps import with_examples
from palimpsest.study.places import BASE, STUDIES

if TYPE_CHECKING:
    from palimpsest.arguments import Parser

KINDS = ("methods", "metrics", "attacks", "benchmarks", "studies")


def add_looks(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the three commands to `palimpsest`."""
    text = "List the methods, metrics, attacks, benchmarks and shipped studies, one line each."
    examples = with_examples("list", "list methods attacks")
    listed = commands.add_parser("list", help="methods, metrics, attacks, benchmarks, studies", description=text, **examples)
    listed.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)} (default: all)")
    listed.set_defaults(run=_list, prog=listed.prog)
    text = "Print the resolved settings of a variant, or of fine-tuning, each with the file and line that it comes from."
    examples = with_examples(
        "show tofu/forget10/tiny/simnpo", "show tofu/forget25/tiny/ga/same-rate --configfile config/studies/world.yaml"
    )
    shown = commands.add_parser("show", help="resolved settings and where they come from", description=text, **examples)
    shown.add_argument("key", type=filled, metavar="BENCHMARK/SPLIT/MODEL[/METHOD[/VARIANT]]")
    text = "Check a config without running it; an error names file and line."
    examples = with_examples("validate", "validate --configfile my-study.yaml")
    checked = commands.add_parser("validate", help="check a config", description=text, **examples)
    for parser, run in ((shown, _show), (checked, _validate)):
        parser.add_argument("--configfile", nargs="+", default=[BASE], type=filled_path, help=f"the study (default: {BASE})")
        parser.set_defaults(run=run, prog=parser.prog)


def _list(args: argparse.Namespace) -> int:
    from palimpsest.mistakes import suggest

    if wrong := next((kind for kind in args.kinds if kind not in KINDS), None):
        raise UserError(suggest("kind", wrong, KINDS))
    for kind in args.kinds or KINDS:
        rows = list(_rows(kind))
        width = max((len(name) for name, _ in rows), default=0)
        print("\n".join([f"{kind}:", *(f"  {name:{width}}  {text}".rstrip() for name, text in rows)]))
    return 0


def _rows(kind: str) -> Iterator[tuple[str, str]]:
    from palimpsest.attacks import list_attacks, load_attack
    from palimpsest.benchmarks import kinds, suites
    from palimpsest.methods import list_methods, load_method
    from palimpsest.study.files import read_file

    if kind == "methods":
        yield from ((name, f"{load_method(name).label}: {_first(load_method(name))}") for name in list_methods())
    elif kind == "attacks":
        yield from ((name, _first(load_attack(name))) for name in list_attacks())
    elif kind == "benchmarks":
        yield from ((name, _first(kinds.load_benchmark(name))) for name in kinds.packages())
    elif kind == "metrics":
        for name in suites.SETTINGS:
            declared = [*suites.load(name, "scores").SCORING.metrics, *(point.load() for point in suites.added_metrics(name))]
            yield from ((f"{name}: {metric.name}", " ".join(metric.label.split())) for metric in declared)
    else:
        yield from ((path.stem, str(read_file(path).get("description", ""))) for path in sorted(STUDIES.glob("*.yaml")))


def _first(of: type) -> str:
    """Return the first sentence of a docstring."""
    return (of.__doc__ or "").partition("\n")[0]


def _show(args: argparse.Namespace) -> int:
    from palimpsest.mistakes import suggest
    from palimpsest.names import DEFAULT, SELECTED, ModelId
    from palimpsest.study.made import list_asked
    from palimpsest.study.origins import open_study, settings_of

    study, places = open_study(args.configfile)
    parts = args.key.split("/")
    known = ["/".join(key) for key in list_asked(study)]
    known += sorted({"/".join(run.place) for run in study.runs})
    key = "/".join(parts[:4])
    if key not in known:
        raise UserError(suggest("key", key, known))
    if len(parts) > 5:
        raise UserError(f"{args.key}: a key has at most five parts: benchmark/split/model/method/variant")
    benchmark, split, model, *rest = parts
    method, variant = (*rest, DEFAULT)[:2] if rest else ("", "")
    if variant == SELECTED:
        trials = study.candidates(ModelId(benchmark, split, model, method=method))
        raise UserError(f"{args.key}: a run selects its settings; the trials: {', '.join(trials)}")
    found = settings_of(study, ModelId(benchmark, split, model, None, method, variant), places)
    rows = [(name, json.dumps(value), origin) for name, value, origin in found]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        print(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}")
    return 0


def _validate(args: argparse.Namespace) -> int:
    from palimpsest.study.origins import open_study
    from palimpsest.study.stages import Artefacts

    study, _ = open_study(args.configfile)
    found = Artefacts(study)
    trained = len(found.of("finetune", "reinforce", "unlearn"))
    print(f"{study.config.study}: valid; {len(found.nodes)} artefacts, {trained} of them trained models")
    return 0
