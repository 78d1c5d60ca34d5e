"""GPUs of one machine, leased: jobs that run side by side never see the same one, and a lease ends with its processes.

A lease is a shared lock (flock) on one file a GPU, given where nobody holds one. Who waits holds the gate, so the rest queue.
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

VISIBLE, LEASED = "CUDA_VISIBLE_DEVICES", "PALIMPSEST_LEASES"
# Within an allocation a scheduler may number its GPUs from 0, so they are told from those of other allocations.
ALLOCATIONS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
WAIT = 0.5


def lease(gpus: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Take GPUs for this process and what it becomes; return the variables that show it these alone.

    The pool is PALIMPSEST_GPUS, or what a scheduler or the user left visible, or what nvidia-smi lists; without any the job
    runs as it is. Waits while too few are free; raises UserError where the pool has too few.
    """
    if not gpus:
        return {} if environments.gpus(environment) is None else {VISIBLE: ""}
    found = pool(environment)
    if not found:
        return {}
    if gpus > len(found):
        raise UserError(f"the job asks for {gpus} GPUs and {len(found)} are here: {','.join(found)}")
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
    # As nvidia-smi numbers them; a list that CUDA was given already is in whatever order that was.
    order = {} if VISIBLE in environment and environments.GPUS not in environment else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return {VISIBLE: ",".join(taken), LEASED: os.pathsep.join(files), **order}


def share(environment: Mapping[str, str] = os.environ) -> None:
    """Hold the leases of the process that started this one too: they end when the last of both does."""
    for path in filter(None, environment.get(LEASED, "").split(os.pathsep)):
        fcntl.flock(_open(Path(path)), fcntl.LOCK_SH)


def pool(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that jobs may lease, by the names that CUDA knows them by; none where nothing is known."""
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
    """Return where the locks of this user, and of this allocation of a scheduler, lie: all jobs must see the same folder."""
    allocation = next((f"-{quote(environment[name], safe='')}" for name in ALLOCATIONS if environment.get(name)), "")
    folder = Path(tempfile.gettempdir(), f"palimpsest-gpus-{os.getuid()}{allocation}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _free(folder: Path, gpus: Sequence[str], most: int) -> dict[str, int]:
    """Lock GPUs that nobody has, up to so many; return the open lock of each."""
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
