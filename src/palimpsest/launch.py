"""Start a stage on leased GPUs: one process per GPU by torchrun, one process, or, without a GPU, a fork of the warm process.

Usage: `python -m palimpsest.launch --gpu N --parallel ddp palimpsest.stages.finetune ...`; the arguments after the module belong
to the stage.
"""

import argparse
import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from palimpsest.arguments import Parser, whole
from palimpsest.contract.command import with_spec
from palimpsest.contract.store import take
from palimpsest.environment import check
from palimpsest.errors import DIVERGED_EXIT, USER_ERROR_EXIT, UserError
from palimpsest.leases import lease, share
from palimpsest.processes import PARALLEL
from palimpsest.provenance.digest import stage_name
from palimpsest.warm import NO, WARM, run


def main() -> int:
    """Run the stage in this process, or replace this process by torchrun."""
    parser = Parser(prog="palimpsest.launch", description="Start a stage.")
    parser.add_argument("--gpu", type=whole(0), default=0, help="GPUs of the job")
    parser.add_argument("--processes", type=whole(1), help="processes of the job; by default one per GPU, and at least one")
    parser.add_argument("--parallel", choices=("ddp", "fsdp", "offload"), default="ddp", help="how training is divided")
    parser.add_argument(
        "--one-of-several", action="store_true", help="this process belongs to a job that has leased its GPUs already"
    )
    parser.add_argument("module", help="the stage's module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the stage's own arguments")
    args = parser.parse_args()
    if not _is_module(args.module):
        parser.error(f"{args.module!r}: there is no such module")
    os.environ[PARALLEL] = args.parallel
    try:
        check()
        args.arguments = with_spec(args.arguments)
        if not args.one_of_several and (made := take(stage_name(args.module), args.arguments)):
            print("palimpsest: taken from the store", file=sys.stderr)
            return DIVERGED_EXIT if "diverged" in made else 0
        if args.one_of_several:
            share()
        else:
            os.environ.update(lease(args.gpu))
    except (UserError, OSError) as error:
        print(f"palimpsest: {error}", file=sys.stderr)
        return USER_ERROR_EXIT
    processes = 1 if args.one_of_several else args.processes or max(args.gpu, 1)
    if processes == 1 and not args.gpu and not args.one_of_several:
        _fork([args.module, *args.arguments])
    if processes == 1:
        sys.argv = [args.module, *args.arguments]
        runpy.run_module(args.module, run_name="__main__", alter_sys=True)
    else:
        # The scheduler, not torchrun, limits the time for a checkpoint after SIGTERM.
        torchrun = (
            f"-m palimpsest.torchrun --standalone --nproc-per-node={processes} --shutdown-timeout=86400 -m palimpsest.launch"
        )
        own = ["--one-of-several", "--parallel", args.parallel, args.module]
        os.execv(sys.executable, [sys.executable, *torchrun.split(), *own, *args.arguments])
    return 0


def _fork(stage: list[str]) -> None:
    """Replace this process by a fork of the warm process; return if there is none, or if the job has more threads than it."""
    warm = os.environ.get(WARM, NO)
    if warm == NO or os.environ.get("OMP_NUM_THREADS") != "1":
        return
    try:
        run(Path(warm), ["-m", *stage])
    except OSError as error:
        print(f"palimpsest: {warm}: {error}; the job starts a Python of its own", file=sys.stderr)


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # the package does not exist, or the name is empty
        return False


if __name__ == "__main__":
    sys.exit(main())
