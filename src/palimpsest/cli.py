"""The command `palimpsest`. Each subcommand has its own parser and imports its modules only when it runs."""

import argparse
from collections.abc import Sequence
from importlib.metadata import version

from palimpsest.arguments import Parser, filled_path, positive, refuse, share, whole
from palimpsest.audit.commands import add_accept, add_audit, add_prune, add_status
from palimpsest.benchmarks import kinds
from palimpsest.errors import UserError
from palimpsest.evaluating import add_evaluate
from palimpsest.export.commands import add_exports
from palimpsest.helps import with_examples
from palimpsest.output import unread_output
from palimpsest.storing import add_store
from palimpsest.study.commands import add_looks
from palimpsest.study.places import BASE
from palimpsest.study.tasks import add_init


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; user errors print one line and exit with 2, like wrong arguments."""
    with unread_output():
        args = make_parser().parse_args(arguments)
        try:
            code: int = args.run(args)
        except (UserError, OSError) as error:
            return refuse(args.prog, error)
        except ModuleNotFoundError as error:
            if not error.name or error.name.startswith("palimpsest"):
                raise
            return refuse(args.prog, UserError(f"needs {error.name}; pip install 'palimpsest[workflow]'"))
    return code


def make_parser() -> Parser:
    """Return the parser of all commands."""
    text = "Unlearning of language models with traceable, verifiable results."
    parser = Parser(prog="palimpsest", description=text, **with_examples("list", "init tofu", "audit verify results"))
    parser.add_argument("--version", action="version", version=f"palimpsest {version('palimpsest')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        add_init,
        add_looks,
        add_evaluate,
        _add_score,
        _add_pin,
        _add_plan,
        add_status,
        add_accept,
        add_prune,
        add_store,
        add_audit,
        add_exports,
    ):
        add(commands)
    return parser


def _add_score(commands: "argparse._SubParsersAction[Parser]") -> None:
    text, examples = "Score evaluation logs.", with_examples("score tofu --log eval_log_aggregated.json")
    score = commands.add_parser("score", help="score evaluation logs", description=text, **examples)
    suites = score.add_subparsers(required=True, metavar="SUITE")
    for kind in kinds.having("command"):
        kinds.load_part(kind, "command").add_score(suites)


def _add_pin(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Write the commit of each model and data set on the Hub into configs, in place of a branch, a tag or no revision."
    examples = with_examples("pin my-study.yaml")
    pin = commands.add_parser("pin", help="write the commits of Hub repositories into configs", description=text, **examples)
    pin.add_argument("configs", nargs="*", metavar="CONFIG", type=filled_path, default=[BASE])
    pin.set_defaults(run=_pin, prog=pin.prog)


def _pin(args: argparse.Namespace) -> int:
    from palimpsest.study.pinning import pin

    for line in pin(args.configs):
        print(line)
    return 0


def _add_plan(commands: "argparse._SubParsersAction[Parser]") -> None:
    text = "Print the GPU requirements of a study before it runs: jobs, GPU-hours (an estimate) and memory by stage."
    examples = with_examples("plan", "plan --configfile config/studies/tofu-forget05-llama2.yaml --gpus 8 --gpu-memory 80 141")
    plan = commands.add_parser("plan", help="jobs, GPU-hours and memory of a study", description=text, **examples)
    plan.add_argument("--configfile", nargs="+", default=[BASE], type=filled_path, help=f"the study (default: {BASE})")
    plan.add_argument("--gpus", type=whole(1), default=8, help="GPUs that run the study (default 8)")
    plan.add_argument(
        "--gpu-memory",
        nargs="+",
        type=positive,
        default=[80.0, 141.0],
        metavar="GB",
        help="memory of a GPU; one column per value",
    )
    plan.add_argument("--parameters", type=positive, help="number of parameters, for models of unknown size")
    plan.add_argument("--teraflops", type=positive, help="peak teraflops of a GPU, dense bf16")
    plan.add_argument("--utilisation", type=share, help="fraction of the peak that is reached, at most 1")
    plan.add_argument("--generated", type=positive, help="tokens per second that a GPU generates")
    plan.set_defaults(run=_plan, prog=plan.prog)


def _plan(args: argparse.Namespace) -> int:
    from palimpsest.planning import Assumptions, Plan, format_plan
    from palimpsest.study.origins import open_study

    named = {name: getattr(args, name) for name in ("teraflops", "utilisation", "generated")}
    given = {name: value for name, value in named.items() if value is not None}
    study, _ = open_study(args.configfile)
    print(format_plan(Plan(study, parameters=args.parameters, assumed=Assumptions(**given)), args.gpus, args.gpu_memory))
    return 0
