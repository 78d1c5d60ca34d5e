"""Failures of the machine (disk space, permissions, memory), reported in one line with advice; other errors are bugs."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from palimpsest.errors import OutOfMemory, UserError

AGAIN = "finished work is kept; rerun afterwards"
REFUSED = {
    errno.ENOSPC: f"no space is left on the disk ({{free}} free): free some space; {AGAIN}",
    errno.EDQUOT: f"your disk quota is exhausted: free some space; {AGAIN}",
    errno.EROFS: f"the file system is read-only: mount it writable, or set `results` to another folder; {AGAIN}",
    errno.EACCES: f"permission denied: check its owner (ls -ld) and your user; {AGAIN}",
    errno.EPERM: f"the operation is not permitted: check its owner (ls -ld) and attributes (lsattr -d); {AGAIN}",
}
FULL = (errno.ENOSPC, errno.EDQUOT)
MEMORY = "out of memory{when}: give the model more `resources: mem`, or a smaller `tokens_per_pass` or `batch_size`"
GPU_MEMORY = (
    "out of memory on the GPU{when}: a smaller `tokens_per_pass` or `batch_size`, `gradient_checkpointing: true`,"
    " `optimizer: adamw-8bit`,"
    " more GPUs with `parallel: fsdp`, or `parallel: offload`"
)
# How libraries in other languages report the system's error code.
CODE = re.compile(r"\b(?:os error|errno) (\d+)\b", re.IGNORECASE)
NO_MEMORY = re.compile(r"can(?:'|no)t allocate memory|bad_?alloc|not enough memory|failed to map segment", re.IGNORECASE)


@contextmanager
def explained(folders: Sequence[Path]) -> Iterator[None]:
    """Convert failures of the machine within this block to UserError.

    If an error names no file, as for a full disk, the file in these folders that was being written is searched for.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:  # torch's checkpoint errors are not Exceptions
        told = explain(error, folders)
        if told is None:
            raise
        raise told from error


def explain(error: BaseException, folders: Sequence[Path] = ()) -> UserError | None:
    """Return a UserError for a failure of the machine, found in the error or its causes; None for a bug."""
    when = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    for cause in _causes(error):
        if type(cause).__name__ == "OutOfMemoryError":  # torch's class, without importing torch
            return OutOfMemory(GPU_MEMORY.format(when=when))
        code = _code(cause)
        if isinstance(cause, MemoryError) or code == errno.ENOMEM or NO_MEMORY.search(str(cause)):
            return OutOfMemory(MEMORY.format(when=when))
        if code in REFUSED:
            named = getattr(cause, "filename", None)
            path = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else _file([cause, error], folders)
            return UserError(f"{path or 'a file'}: {REFUSED[code].format(free=_free(path))}")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes, and the errors of the processes that wrote a checkpoint."""
    yield error
    for failure in getattr(error, "failures", {}).values():
        yield from _causes(failure[0])
    if error.__cause__ is not None:
        yield from _causes(error.__cause__)
    # A file that could not be written often cannot be closed either; other errors in the context are not causes.
    elif error.__context__ is not None:
        yield from (cause for cause in _causes(error.__context__) if _code(cause) in FULL)


def _code(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = CODE.search(str(error))
    return int(found[1]) if found else None


def _file(errors: Sequence[BaseException], folders: Sequence[Path]) -> Path | None:
    """Return the file in one of the folders that was in use when an error was raised, or else the first folder."""
    for frame in (frame for error in errors for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__)))):
        for value in frame.f_locals.values():
            named = value.name if isinstance(value, io.FileIO | io.BufferedWriter | io.TextIOWrapper) else value
            if isinstance(named, str | Path):
                path = Path(named)
                if any(path != folder and path.is_relative_to(folder) for folder in folders):
                    return path
    return folders[0] if folders else None


def _free(path: Path | None) -> str:
    """Return the free space of the file system that a path is on."""
    place = next((each for each in (path, *path.parents) if each.exists()), None) if path else None
    return f"{shutil.disk_usage(place).free / 1e6:.0f} MB" if place else "nothing"
