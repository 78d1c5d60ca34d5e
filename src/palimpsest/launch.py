"""Start a stage on leased GPUs: as one process or, with several GPUs, with torchrun and one process per GPU.

Usage: `python -m palimpsest.launch --gpu N --parallel ddp palimpsest.stages.finetune ...`; the arguments after the module belong
to the stage.
"""

import argparse
import os
import runpy
import sys
from importlib.util import find_spec

from palimpsest.arguments import Parser, whole
from palimpsest.environment import check
from palimpsest.errors import USER_ERROR_EXIT, UserError
from palimpsest.leases import lease, share
from palimpsest.processes import PARALLEL


def main() -> int:
    """Run the stage in this process, or replace this process by torchrun."""
    parser = Parser(prog="palimpsest.launch", description="Start a stage.")
    parser.add_argument("--gpu", type=whole(0), default=0, help="GPUs of the job")
    parser.add_argument("--processes", type=whole(1), help="processes of the job; by default one per GPU, and at least one")
    parser.add_argument("--parallel", choices=("ddp", "fsdp"), default="ddp", help="how several processes divide training")
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
        if args.one_of_several:
            share()
        else:
            os.environ.update(lease(args.gpu))
    except (UserError, OSError) as error:
        print(f"palimpsest: {error}", file=sys.stderr)
        return USER_ERROR_EXIT
    processes = 1 if args.one_of_several else args.processes or max(args.gpu, 1)
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


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # the package does not exist, or the name is empty
        return False


if __name__ == "__main__":
    sys.exit(main())
