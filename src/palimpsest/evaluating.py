"""The command `palimpsest evaluate`: a finished model on one benchmark, through Snakemake, without a config of one's own."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from palimpsest.arguments import filled, filled_path, whole
from palimpsest.errors import USER_ERROR_EXIT, UserError
from palimpsest.helps import with_examples

if TYPE_CHECKING:
    from palimpsest.arguments import Parser

RESULTS, OVERLAY, SNAKEFILE = "results-evaluate", "evaluate.yaml", "Snakefile"
# The suite of all items, and the model entry and the Retrain of the config that the command writes.
FULL, MODEL, RETRAINED = "full", "given", "given-retrain"


def add_evaluate(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the command to `palimpsest`."""
    text = "Evaluate a finished model on a benchmark, compare it with a Retrain, and print its scores."
    examples = with_examples(
        "evaluate runs/my-model --benchmark tofu --split forget10 --data data/tofu --retrain runs/my-retrain",
        "evaluate runs/my-adapter --over runs/my-original --benchmark tofu --split forget10 --gpu 1",
    )
    evaluate = commands.add_parser("evaluate", help="evaluate a finished model", description=text, **examples)
    evaluate.add_argument("checkpoint", type=filled, metavar="MODEL", help="a folder, or NAME@COMMIT of the Hub")
    evaluate.add_argument(
        "--over", type=filled, metavar="MODEL", help="the model that the adapter belongs to, if MODEL is a LoRA adapter"
    )
    evaluate.add_argument("--benchmark", required=True, type=filled, help="a benchmark of the config, or a kind of benchmark")
    evaluate.add_argument("--split", required=True, type=filled, help="the forget set, such as forget10")
    evaluate.add_argument("--retrain", type=filled, metavar="MODEL|LOG", help="Retrain: a model, or its evaluation log")
    evaluate.add_argument("--data", type=filled, metavar="FOLDER", help="a folder with the data, instead of the Hub")
    evaluate.add_argument("--like", type=filled, metavar="NAME", help="the model of the config whose prompt and precision to use")
    evaluate.add_argument("--suite", type=filled, help="a suite of the config (default: one with all items)")
    evaluate.add_argument("--configfile", nargs="+", default=[], type=filled_path, help="the study that the names are from")
    evaluate.add_argument("--results", type=filled, default=RESULTS, help=f"the folder of the artefacts (default {RESULTS})")
    evaluate.add_argument("--cores", type=whole(1), default=1, help="CPU cores (default 1)")
    evaluate.add_argument("--gpu", type=whole(0), default=0, help="GPUs, without --like (default 0)")
    evaluate.set_defaults(run=_run, prog=evaluate.prog)


def _run(args: argparse.Namespace) -> int:
    from palimpsest.names import ModelId
    from palimpsest.study.files import read_configs
    from palimpsest.study.stages import Artefacts, evaluation_of
    from palimpsest.study.study import Study

    if not Path(SNAKEFILE).is_file():
        raise UserError(f"{SNAKEFILE}: missing: run this command in a checkout of Palimpsest")
    files = args.configfile
    if not args.over:
        args.checkpoint = with_whole_weights(args.checkpoint, args.results)
    args.retrain = args.retrain and with_whole_weights(args.retrain, args.results)
    overlay = overlay_of(args, read_configs(files))
    path = Path(args.results, OVERLAY)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(overlay, sort_keys=False), encoding="utf-8")
    study = Study(read_configs([*files, path]))
    (block,) = overlay["blocks"]
    place = ModelId(args.benchmark, args.split, block["models"][0], 0)
    (suite,) = block["suites"]
    made = [Artefacts(study).manifest(evaluation_of(place.of(name), suite)) for name in block["checkpoints"]]
    command = [sys.executable, "-m", "snakemake", "--cores", str(args.cores)]
    command += ["--resources", f"gpu={max(args.gpu, study.model(place.model).resources.gpu)}"]
    command += ["--configfile", *map(str, (*files, path)), "--", *made]
    # Only the scores go to the standard output.
    if code := subprocess.run(command, stdout=sys.stderr).returncode:
        return code if code == USER_ERROR_EXIT else 1
    own, *retrain = (Path(manifest).parent for manifest in made)
    if args.retrain and not retrain:
        retrain = [Path(args.retrain)]
    print(_scores(study.kind_of(suite), suite, study.config.suites[suite].scoring_settings, own, *retrain))
    return 0


def overlay_of(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the command, to be merged over `config`; raises UserError for arguments that do not fit it."""
    from palimpsest.benchmarks import kinds, suites
    from palimpsest.mistakes import suggest

    # A kind serves where the config has no benchmark of it.
    benchmarks = {kind: {"kind": kind} for kind in kinds.packages() if kinds.source_modules(kind)} | config["benchmarks"]
    for option, what, name, known in (
        ("--benchmark", "benchmark", args.benchmark, benchmarks),
        ("--like", "model", args.like, config.get("models", {})),
    ):
        if name is not None and name not in known:
            raise UserError(f"{option}: {suggest(what, name, known)}")
    kind = benchmarks[args.benchmark]["kind"]
    if args.suite is None and kind not in suites.SETTINGS:
        raise UserError(f"--suite: missing: kind {kind} has no suite of its own; name one of the config")
    own: dict[str, Any] = _repository(args.checkpoint, "MODEL")
    if args.over:
        own["over"] = _repository(args.over, "--over")
    name = re.sub(r"[^A-Za-z0-9._+-]", "-", args.checkpoint.partition("@")[0].rstrip("/").rpartition("/")[2]).lstrip("._+-")
    checkpoints: dict[str, Any] = {name or MODEL: own}
    if args.retrain and _is_model(args.retrain):
        checkpoints[RETRAINED] = _repository(args.retrain, "--retrain")
    elif args.retrain and kind not in kinds.having("score"):
        raise UserError(f"--retrain: {args.retrain}: kind {kind} reads no logs; name a model")
    suite = args.suite or FULL
    model = args.like or MODEL
    return {
        "study": "evaluate",
        "results": args.results,
        **_source(args, config, kind),
        **({} if args.suite else {"suites": {FULL: {"kind": kind}}}),
        **({} if args.like else {"models": {MODEL: {"kind": "pretrained", **own, "resources": {"gpu": args.gpu}}}}),
        "checkpoints": checkpoints,
        "blocks": [
            {
                "benchmark": args.benchmark,
                "splits": [args.split],
                "models": [model],
                "seeds": [0],
                "checkpoints": [*checkpoints],
                "suites": [suite],
            }
        ],
    }


def _source(args: argparse.Namespace, config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the config of the data: a folder, those of the study, or those on the Hub."""
    from palimpsest.benchmarks import kinds

    allowed = kinds.source_modules(kind)
    if args.data is not None:
        folder = next(name for name in allowed if name.endswith("folder"))
        entry, sources = FULL, {"sources": {FULL: {"kind": folder, "path": args.data}}}
    elif args.configfile:
        return {}
    else:
        hubs = [
            name for name, source in config["sources"].items() if source["kind"] in allowed and source["kind"].endswith("hub")
        ]
        if not hubs:
            raise UserError(f"--data: missing: the config has no data of kind {kind} on the Hub; name a folder, or --configfile")
        entry, sources = hubs[0], {}
    return {**sources, "benchmarks": {args.benchmark: {"kind": kind, "source": entry}}}


def _repository(text: str, option: str) -> dict[str, str]:
    """Return a folder, or a repository of the Hub at its commit."""
    name, _, commit = text.rpartition("@")
    if Path(text).is_dir():
        return {"name": text}
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise UserError(f"{option}: {text}: there is no such folder; a model of the Hub is NAME@COMMIT, with 40 hex digits")
    return {"name": name, "revision": commit}


def with_whole_weights(text: str, results: str) -> str:
    """Return the folder of a model; of one that a study keeps as adapters, a merged copy in the results of the command."""
    from palimpsest.audit.artefacts import CONFIG, Artefact, find_artefacts
    from palimpsest.export.models import Results
    from palimpsest.export.weights import write_merged
    from palimpsest.models.loading import ADAPTER
    from palimpsest.provenance.manifest import MANIFEST

    folder = Path(text).resolve()
    if not all((folder / name).is_file() for name in (ADAPTER, MANIFEST)):
        return text
    root = next((parent for parent in folder.parents if (parent / CONFIG).is_file()), None)
    if root is None:
        raise UserError(f"{text}: this adapter lies in no results of a study (no {CONFIG}); --over names the model it changes")
    made = Artefact(folder.relative_to(root).as_posix(), folder)
    copy = Path(results, "merged", made.sha256[:16], folder.name)
    if not copy.exists():
        partial = copy.with_name(f".{copy.name}")
        shutil.rmtree(partial, ignore_errors=True)
        write_merged(Results(root, {}, find_artefacts(root)), made, partial)
        partial.rename(copy)
    return str(copy)


def _is_model(text: str) -> bool:
    return "@" in text or any((Path(text) / name).is_file() for name in ("config.json", "adapter_config.json"))


def _scores(kind: str, suite: str, settings: Mapping[str, Any], folder: Path, retrain: Path | None = None) -> str:
    """Return a table with the scores of an evaluation, against the evaluation or the log of Retrain."""
    from palimpsest.benchmarks import kinds
    from palimpsest.evaluation.items import TABLE
    from palimpsest.scores.numbers import Retrains, Scorer

    if kind in kinds.having("score"):
        module = kinds.load_part(kind, "score")
        return str(module.format_score(module.score_log(folder, retrain)))
    scorer = Scorer(suite, kind, Retrains(retrain and retrain / TABLE, is_absent=retrain is None), settings)
    return "\n".join(f"{name:28}{value:.4g}" for _, scores in scorer.scores(folder / TABLE) for name, value in scores.items())
