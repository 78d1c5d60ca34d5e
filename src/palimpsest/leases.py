"""Leases of the GPUs of one machine: concurrent jobs never share a GPU, and a lease ends with the job's processes.

A lease is a shared lock (flock) on a file per GPU, taken when no other job holds it. A waiting job holds the gate, so others
queue.
"""

import fcntl
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from palimpsest import environment as environments
from palimpsest.errors import UserError

# A job that asked for GPUs has the second, which is empty if nothing could be leased.
VISIBLE, LEASED = "CUDA_VISIBLE_DEVICES", "PALIMPSEST_LEASES"
# A scheduler may number the GPUs of each allocation from 0, so each allocation has its own locks.
ALLOCATIONS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
WAIT = 0.5


def lease(gpus: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Lease GPUs for this process and its successors; return the environment variables that make only these GPUs visible.

    The pool is PALIMPSEST_GPUS, else CUDA_VISIBLE_DEVICES, else the list of nvidia-smi; without a pool the job runs without
    leases. Waits until enough GPUs are free; raises UserError if the pool is too small.
    """
    if not gpus:
        return {} if environments.gpus(environment) is None else {VISIBLE: ""}
    found = pool(environment)
    if not found:
        return {LEASED: ""}
    if gpus > len(found):
        raise UserError(f"the job requests {gpus} GPUs, but there are only {len(found)}: {','.join(found)}")
    folder = lock_folder(environment)
    gate = _open(folder / "gate")
    fcntl.flock(gate, fcntl.LOCK_EX)
    while len(taken := _free(folder, found, gpus)) < gpus:
        for lock in taken.values():
            os.close(lock)
        time.sleep(WAIT * random.random())
    for lock in taken.values():
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.set_inheritable(lock, True)
    os.close(gate)
    files = [str(_file(folder, gpu)) for gpu in taken]
    # Number the GPUs as nvidia-smi does, unless CUDA_VISIBLE_DEVICES was given, which has an order of its own.
    order = {} if VISIBLE in environment and environments.GPUS not in environment else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return {VISIBLE: ",".join(taken), LEASED: os.pathsep.join(files), **order}


def share(environment: Mapping[str, str] = os.environ) -> None:
    """Hold the leases of the parent process as well, so that they end with the last process."""
    for path in filter(None, environment.get(LEASED, "").split(os.pathsep)):
        fcntl.flock(_open(Path(path)), fcntl.LOCK_SH)


def pool(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that jobs may lease, by CUDA's names; empty if nothing is known."""
    if (listed := environments.gpus(environment)) is not None:
        return listed
    if VISIBLE in environment:
        listed = [gpu.strip() for gpu in environment[VISIBLE].split(",") if gpu.strip()]
        if len(set(listed)) < len(listed):
            raise UserError(f"{VISIBLE}={environment[VISIBLE]} names a GPU twice")
        return [] if listed == ["-1"] else listed
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return said.stdout.split() if said.returncode == 0 else []


def lock_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of the locks of this user and scheduler allocation, which all jobs must see."""
    allocation = next((f"-{quote(environment[name], safe='')}" for name in ALLOCATIONS if environment.get(name)), "")
    folder = Path(tempfile.gettempdir(), f"palimpsest-gpus-{os.getuid()}{allocation}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _free(folder: Path, gpus: Sequence[str], most: int) -> dict[str, int]:
    """Lock up to `most` free GPUs; return the open lock of each."""
    taken: dict[str, int] = {}
    for gpu in gpus:
        if len(taken) == most:
            break
        lock = _open(_file(folder, gpu))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            taken[gpu] = lock
    return taken


def _file(folder: Path, gpu: str) -> Path:
    return folder / f"{quote(gpu, safe='')}.lock"


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
