"""The commands of `palimpsest audit`."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, get_args

from palimpsest.arguments import Parser, filled, filled_path, pairs, whole
from palimpsest.audit.findings import KINDS
from palimpsest.errors import UserError
from palimpsest.helps import with_examples
from palimpsest.names import Agreement
from palimpsest.provenance.canonical import sha256_text
from palimpsest.provenance.digest import ROOT

if TYPE_CHECKING:
    from palimpsest.audit.planned import Project
    from palimpsest.audit.verify import Verdict
    from palimpsest.study.study import Study


def add_audit(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add `audit` and its subcommands."""
    text, examples = "Audit results.", with_examples("audit verify results")
    audit = commands.add_parser("audit", help="verify that results follow from code and data", description=text, **examples)
    below = audit.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_verify, _add_rerun, _add_compare, _add_explain, _add_freeze, _add_check, _add_crate):
        add(below)


def add_status(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add `status`."""
    text = "Say which artefacts of a study are current, and which are to be made and why; from the manifests alone, in seconds."
    examples = with_examples("status results", "status results --adopt")
    found = commands.add_parser("status", help="what of a study is made, stale or missing, and why", description=text, **examples)
    found.add_argument("results", nargs="?", type=filled_path, default=Path("results"), metavar="RESULTS", help="default results")
    found.add_argument(
        "--configfile", nargs="+", default=[], type=filled_path, help="the study's config (default: the results' own)"
    )
    found.add_argument(
        "--adopt",
        action="store_true",
        help="set aside what is stale in results that were copied without Snakemake's records, so that it is made again",
    )
    found.add_argument("--json", action="store_true", help="print one JSON object")
    found.set_defaults(run=_status, prog=found.prog)


def _status(args: argparse.Namespace) -> int:
    from palimpsest.audit.status import CURRENT, format_status, set_aside, status

    with _opened(args) as (_, study):
        found = status(study)
        if args.adopt:
            stale = [state.path for state in found.of("stale") if state.path in found.unrecorded]
            set_aside(study, stale)
            print(f"{args.results}: {len(stale)} artefacts set aside; {len(found.of(*CURRENT))} are current", file=sys.stderr)
            found = status(study)
    print(json.dumps(found.as_json()) if args.json else format_status(found))
    return 0


def add_accept(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add `accept`."""
    text = (
        "Make a seeded sample of the artefacts behind an edit of code again; if the bytes are equal, the edited code counts as"
        " equal to the earlier, and nothing reruns. RESULTS/equivalences.json records it; other bytes of one artefact revoke it."
    )
    examples = with_examples("accept results", "accept results --stage unlearn --sample 5 --seed 1")
    brief = "test whether an edit of code changes no byte, and if so rerun nothing"
    found = commands.add_parser("accept", help=brief, description=text, **examples)
    found.add_argument("results", nargs="?", type=filled_path, default=Path("results"), metavar="RESULTS", help="default results")
    found.add_argument(
        "--configfile", nargs="+", default=[], type=filled_path, help="the study's config (default: the results' own)"
    )
    found.add_argument("--stage", nargs="+", default=[], metavar="STAGE", help="only artefacts of these stages")
    found.add_argument(
        "--sample", type=whole(1), default=3, metavar="K", help="artefacts to draw of each stage and code (default 3)"
    )
    found.add_argument("--seed", type=whole(0), default=0, metavar="S", help="seed of the draw (default 0)")
    found.add_argument(
        "--again", action="store_true", help="test also what is accepted already; give another seed to draw others"
    )
    found.add_argument(
        "--scratch", type=filled_path, metavar="FOLDER", help="make the artefacts in this new folder (default: a temporary one)"
    )
    found.set_defaults(run=_accept, prog=found.prog)


def _accept(args: argparse.Namespace) -> int:
    from palimpsest.audit.accept import accept, list_groups
    from palimpsest.contract.equivalences import read_equivalences

    refused = 0
    with ExitStack() as stack:
        scratch = args.scratch and args.scratch.resolve()
        project, study = stack.enter_context(_opened(args))
        groups = list_groups(study, read_equivalences(project.results), args.stage, again=args.again)
        if not groups:
            print(f"{args.results}: nothing to accept: no artefact differs from the study in its code alone")
            return 0
        if scratch:
            scratch.mkdir(parents=True)
        else:
            scratch = Path(stack.enter_context(TemporaryDirectory(prefix="palimpsest-"))).resolve()
        for outcome in accept(study, project, groups, scratch, args.sample, args.seed):
            refused += bool(outcome.reasons)
            if outcome.reasons:
                print(
                    f"{args.prog}: {outcome.group.stage}: not accepted: {'; '.join(outcome.reasons)}", file=sys.stderr, flush=True
                )
            else:
                print(outcome, flush=True)
    return 1 if refused else 0


def add_prune(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add `prune`."""
    text = "Remove weights that no job of the study still needs. All else stays, and weights are made again on demand."
    examples = with_examples("prune results --keep results --dry-run", "prune results --keep attacked")
    found = commands.add_parser(
        "prune", help="remove weights that the study does not need any more", description=text, **examples
    )
    found.add_argument("results", nargs="?", type=filled_path, default=Path("results"), metavar="RESULTS", help="default results")
    found.add_argument(
        "--configfile", nargs="+", default=[], type=filled_path, help="the study's config (default: the results' own)"
    )
    found.add_argument(
        "--keep",
        choices=("results", "attacked"),
        help="what stays, in place of the config's `keep`: no weights; or the weights of original, Retrain and attacked models",
    )
    found.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    found.set_defaults(run=_prune, prog=found.prog)


def _prune(args: argparse.Namespace) -> int:
    from palimpsest.audit.pruning import format_pruning, prune_results

    with _opened(args) as (_, study):
        found = prune_results(study, args.keep, dry_run=args.dry_run)
    print(format_pruning(found, dry_run=args.dry_run))
    return 0


@contextmanager
def _opened(args: argparse.Namespace) -> "Iterator[tuple[Project, Study]]":
    """Open results with their study, in the folder that Snakemake ran in, where its locks and records are."""
    from palimpsest.audit.planned import open_project
    from palimpsest.study.files import read_configs
    from palimpsest.study.study import Study

    project = open_project(args.results, args.configfile)
    with chdir(project.workdir):
        yield project, Study(read_configs(project.configs) | {"results": project.called})


def _add_verify(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Hash every file, follow every manifest to its sources, and compare with today's study and Snakemake's records."
    examples = with_examples("audit verify results", "audit verify results --allow dirty-tree --out results")
    verify = commands.add_parser("verify", help="check every file and its provenance", description=text, **examples)
    _add_results(verify)
    _add_allow(verify)
    verify.add_argument("--out", type=filled_path, metavar="FOLDER", help="write audit.html and audit.json to this folder")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(run=_verify, prog=verify.prog)


def _add_rerun(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Make randomly drawn artefacts again from the existing inputs, in a separate folder, and compare."
    examples = with_examples("audit rerun results --sample 3 --seed 0", "audit rerun results --only scores report")
    rerun = commands.add_parser("rerun", help="make some artefacts again and compare", description=text, **examples)
    _add_results(rerun)
    rerun.add_argument("--sample", type=whole(1), default=3, metavar="K", help="number of artefacts to draw (default 3)")
    rerun.add_argument("--seed", type=whole(0), default=0, metavar="S", help="seed of the draw (default 0)")
    rerun.add_argument("--only", nargs="+", default=[], metavar="STAGE", help="draw only from these stages")
    rerun.add_argument(
        "--class", dest="agreed", choices=get_args(Agreement), help="compare by this class instead of the declared one"
    )
    rerun.add_argument(
        "--scratch",
        type=filled_path,
        metavar="FOLDER",
        help="make and keep the artefacts in this folder (default: a temporary one)",
    )
    rerun.add_argument("--json", action="store_true", help="print one JSON object")
    rerun.set_defaults(run=_rerun, prog=rerun.prog)


def _add_freeze(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Verify results and write their ledger: one line per artefact, small enough to commit with a paper."
    examples = with_examples("audit freeze results --out ledger.json")
    freeze = commands.add_parser("freeze", help="write the ledger of results", description=text, **examples)
    _add_results(freeze)
    _add_allow(freeze)
    freeze.add_argument("--out", type=filled_path, default=Path("ledger.json"), metavar="LEDGER", help="default ledger.json")
    freeze.set_defaults(run=_freeze, prog=freeze.prog)


def _add_check(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Hash every file again, derive the ledger, and compare it with a frozen one."
    examples = with_examples("audit check ledger.json results")
    check = commands.add_parser("check", help="compare results with a frozen ledger", description=text, **examples)
    check.add_argument("ledger", type=filled_path, metavar="LEDGER", help="a ledger written by `palimpsest audit freeze`")
    check.add_argument("results", nargs="?", default=Path("results"), type=filled_path, metavar="RESULTS", help="default results")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=_check, prog=check.prog)


def _add_compare(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Compare two ledgers or folders of results, for example of two machines or commits, and find where differences begin."
    examples = with_examples("audit compare ledger.json results")
    compare = commands.add_parser("compare", help="what differs between two ledgers", description=text, **examples)
    for name in ("first", "second"):
        compare.add_argument(name, type=filled_path, metavar=name.upper(), help="a ledger or a folder of results")
    compare.add_argument("--json", action="store_true", help="print one JSON object")
    compare.set_defaults(run=_compare, prog=compare.prog)


def _add_explain(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Trace one number of the report through every artefact, setting, source and commit that contributed to it."
    examples = with_examples("audit explain forget_quality results --where method=simnpo variant=default seed=0 suite=tofu")
    explain = commands.add_parser("explain", help="where one number comes from", description=text, **examples)
    explain.add_argument("metric", metavar="METRIC", help="a name in the column `metric` of summary.csv")
    explain.add_argument(
        "results", nargs="?", default=Path("results"), type=filled_path, metavar="RESULTS", help="default results"
    )
    explain.add_argument(
        "--where", nargs="+", default=[], type=_pair, metavar="COLUMN=VALUE", help="select one of several numbers"
    )
    explain.add_argument("--json", action="store_true", help="print one JSON object")
    explain.set_defaults(run=_explain, prog=explain.prog)


def _add_crate(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Write results as a Workflow Run RO-Crate, which tools for research objects can read."
    examples = with_examples("audit crate results crate")
    crate = commands.add_parser("crate", help="export results as a Workflow Run RO-Crate", description=text, **examples)
    crate.add_argument("results", type=filled_path, metavar="RESULTS", help="the folder of results")
    crate.add_argument("out", type=filled_path, metavar="OUT", help="a new folder, not below RESULTS")
    crate.add_argument("--license", type=filled, metavar="URL", help="licence of the exported results (default: MIT)")
    crate.add_argument(
        "--largest", type=whole(0), metavar="BYTES", help="describe larger files without copying them (default 20000000)"
    )
    crate.set_defaults(run=_crate, prog=crate.prog)


def _add_results(parser: Parser) -> None:
    parser.add_argument("results", type=filled_path, metavar="RESULTS", help="the folder of results")
    parser.add_argument(
        "--configfile", nargs="+", default=[], type=filled_path, help="config of the study (default: RESULTS/run_config.yaml)"
    )


def _add_allow(parser: Parser) -> None:
    kinds = ", ".join(KINDS)
    parser.add_argument(
        "--allow",
        nargs="+",
        default=[],
        choices=KINDS,
        metavar="KIND",
        help=f"report findings of these kinds but exit with 0: {kinds}",
    )


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=VALUE")
    return name, value


def _verify(args: argparse.Namespace) -> int:
    from palimpsest.audit.page import write_page
    from palimpsest.audit.verify import format_verdict

    if args.out and not args.out.is_dir():
        raise UserError(f"--out: {args.out}: there is no such folder")
    verdict = _verified(args)
    if args.out:
        write_page(verdict, args.out)
    if args.json:
        print(json.dumps(verdict.as_json(), indent=1))
    else:
        print(format_verdict(verdict))
    return 1 if verdict.failing(args.allow) else 0


def _verified(args: argparse.Namespace) -> "Verdict":
    from palimpsest.audit.planned import open_project
    from palimpsest.audit.verify import verify

    return verify(open_project(args.results, args.configfile))


def _rerun(args: argparse.Namespace) -> int:
    from palimpsest.audit.accept import revoke
    from palimpsest.audit.artefacts import find_artefacts
    from palimpsest.audit.planned import open_project, plan_jobs
    from palimpsest.audit.rerun import code_of, draw, redo

    project = open_project(args.results, args.configfile)
    artefacts, planned = find_artefacts(project.results), plan_jobs(project)
    paths = draw(artefacts, planned, args.sample, args.seed, args.only, project.called)
    redone = []
    with ExitStack() as stack:
        scratch = (args.scratch or Path(stack.enter_context(TemporaryDirectory(prefix="palimpsest-")))).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        for each in redo([(artefacts[path], planned[path]) for path in paths], project, scratch, args.agreed):
            redone.append(each)
            artefact = artefacts[each.path]
            # In another environment, other bytes say nothing about the code.
            if each.content and each.reasons and each.agreed == "bitwise" and not each.elsewhere:
                today = code_of(artefact, planned[each.path])
                if revoke(project.results, artefact, today, each.content, args.sample, args.seed):
                    print(f"{args.prog}: {each.path}: its code is no longer accepted", file=sys.stderr)
            if not args.json:
                print(each, flush=True)
    if args.json:
        print(json.dumps([asdict(each) for each in redone], indent=1))
    return 1 if any(each.reasons for each in redone) else 0


def _freeze(args: argparse.Namespace) -> int:
    from palimpsest.audit.ledger import derive_ledger, write_ledger
    from palimpsest.audit.verify import format_verdict

    if args.out.is_dir() or not args.out.parent.is_dir():
        raise UserError(f"--out: {args.out}: must be a file in an existing folder")
    verdict = _verified(args)
    print(format_verdict(verdict))
    if verdict.failing(args.allow):
        print("results with findings get no ledger; --allow KIND overrides this", file=sys.stderr)
        return 1
    text = write_ledger(derive_ledger(args.results))
    args.out.write_text(text, encoding="utf-8")
    print(f"{args.out}: {len(verdict.artefacts)} artefacts, {len(text) / 1000:.0f} kB, sha256 {sha256_text(text)}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from palimpsest.audit.artefacts import find_artefacts
    from palimpsest.audit.compare import compare, format_comparison
    from palimpsest.audit.ledger import derive_ledger, read_ledger
    from palimpsest.audit.verify import check_bytes

    frozen = read_ledger(args.ledger)
    findings = check_bytes(args.results, find_artefacts(args.results))
    comparison = compare(frozen, derive_ledger(args.results))
    if args.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings], **comparison.as_json()}, indent=1))
    else:
        print("\n".join([*map(str, findings), format_comparison(comparison)]))
    return 0 if comparison.agrees and not findings else 1


def _compare(args: argparse.Namespace) -> int:
    from palimpsest.audit.compare import compare, format_comparison
    from palimpsest.audit.ledger import read_ledger

    comparison = compare(read_ledger(args.first), read_ledger(args.second))
    print(json.dumps(comparison.as_json(), indent=1) if args.json else format_comparison(comparison))
    return 0 if comparison.agrees else 1


def _crate(args: argparse.Namespace) -> int:
    from palimpsest.audit.crate import write_crate

    given = {name: getattr(args, name) for name in ("license", "largest") if getattr(args, name) is not None}
    print(write_crate(args.results, args.out, root=ROOT.parent, **given))
    return 0


def _explain(args: argparse.Namespace) -> int:
    from palimpsest.audit.explain import find_number, format_trace, trace

    row = find_number(args.results, args.metric, pairs(args.where, "--where"))
    steps = trace(args.results, row)
    plain = {"number": row, "steps": [asdict(step) for step in steps]}
    print(json.dumps(plain, indent=1) if args.json else format_trace(row, steps))
    return 0
