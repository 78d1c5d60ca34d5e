"""The environment variables of Palimpsest; an invalid one gives one line and exit code 2."""

import math
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from palimpsest.errors import UserError
from palimpsest.provenance.commit import COMMIT

PREFIX = "PALIMPSEST_"
CHECKPOINT_SECONDS, SCRATCH, GPUS = f"{PREFIX}CHECKPOINT_SECONDS", f"{PREFIX}SCRATCH", f"{PREFIX}GPUS"
STORE, NO_STORE = f"{PREFIX}STORE", "no"
# The folder with the local copies of a storage, which the workflow sets.
STORAGE = f"{PREFIX}STORAGE"
# Further variables that the workflow, the wrapper of apptainer and the tests read or set.
OTHERS = tuple(
    f"{PREFIX}{name}"
    for name in ("PARALLEL", "LEASES", "NETWORK", "OFFLINE", "WARM", "RUN", "GAPS", "SHARED", "AUSTEN", "FAULTS_SEED")
)
_GPU = re.compile(r"\d+|(GPU|MIG)-[0-9A-Za-z/-]+")
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(-dirty)?")


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Raise UserError for an invalid variable, and for an unknown variable with our prefix."""
    known = (CHECKPOINT_SECONDS, SCRATCH, STORE, STORAGE, GPUS, COMMIT, *OTHERS)
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            close = get_close_matches(name, known, 1)
            raise UserError(f"{name}: unknown variable{f'; did you mean {close[0]}?' if close else ''}")
    checkpoint_seconds(environment)
    scratch_folder(environment)
    store_folder(environment)
    gpus(environment)
    # Empty if the code is not in a repository.
    if (commit := environment.get(COMMIT)) and not _COMMIT.fullmatch(commit):
        raise UserError(f"{COMMIT}={commit}: must be the full hash of a commit, followed by -dirty if files differ from it")


def checkpoint_seconds(environment: Mapping[str, str] = os.environ) -> float:
    """Return the seconds between two checkpoints of training; raises UserError."""
    text = environment.get(CHECKPOINT_SECONDS, "300")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UserError(f"{CHECKPOINT_SECONDS}={text}: must be a number of seconds, 0 or more, such as 300")
    return seconds


def scratch_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of unfinished work; it may be missing, because a node may have disks that this machine does not have.

    Raises UserError for an empty name, which would mean the working directory, and for a file.
    """
    text = environment.get(SCRATCH, ".palimpsest/scratch")
    if not text.strip():
        raise UserError(f"{SCRATCH}: empty; name a folder, or unset it")
    folder = Path(text)
    found = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not found.is_dir():
        raise UserError(f"{SCRATCH}={text}: {found} is not a folder; name one, which is made if it is missing, or unset it")
    return folder


def store_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of the store of finished artefacts; None if there is none. Raises UserError for an empty name."""
    folder = environment.get(STORE, NO_STORE)
    if not folder.strip():
        raise UserError(f"{STORE}: empty; name a folder, or write {NO_STORE} to use none")
    return None if folder == NO_STORE else Path(folder)


def storage_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder with the local copies of a storage of Snakemake, below which all paths lie; None without a storage."""
    folder = environment.get(STORAGE)
    return Path(folder) if folder else None


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the user's folder of what can be made again; raises RuntimeError for a user without a home."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def gpus(environment: Mapping[str, str] = os.environ) -> list[str] | None:
    """Return the GPUs that jobs may lease; None if the variable is not set. Raises UserError."""
    if (text := environment.get(GPUS)) is None:
        return None
    listed = [gpu.strip() for gpu in text.split(",")]
    if wrong := [gpu for gpu in listed if not _GPU.fullmatch(gpu)]:
        raise UserError(
            f"{GPUS}={text}: {wrong[0]!r} is not a GPU; allowed are nvidia-smi's numbers, and names GPU-... and MIG-..."
        )
    if len(set(listed)) < len(listed):
        raise UserError(f"{GPUS}={text} names a GPU twice")
    return listed
