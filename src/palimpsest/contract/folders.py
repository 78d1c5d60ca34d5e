"""The folders that a stage writes into: held by one process at a time, never reached through a link."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from palimpsest.errors import UserError
from palimpsest.faults import explained
from palimpsest.provenance.manifest import MANIFEST

# File systems that lock no folder: some kinds of NFS. There Snakemake's own lock is the only one.
LOCKLESS = (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


def refuse_link(path: Path) -> None:
    """Raise UserError for a path that is a link: what is written there would land elsewhere."""
    if path.is_symlink():
        raise UserError(f"{path}: a link to {path.readlink()}, and a stage writes through none: delete the link and run again")


@contextmanager
def workplace(out: Path, scratch: Path) -> Iterator[Path]:
    """Yield the empty folder beside `out` in which an artefact is made, held like `scratch`, and removed where the work fails."""
    partial = out.with_name(f".{out.name}.partial")
    refuse_link(out)
    with held(partial), held(scratch):
        clear(partial)
        try:
            with explained([partial, scratch]):
                yield partial
        except BaseException:
            # On a full disk this makes room for the line that says so.
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def side_place(folder: Path) -> Iterator[Path]:
    """Yield the empty folder of a process that is not the main one."""
    clear(folder)
    with explained([folder]):
        yield folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a folder where it is missing, and hold it within this block; raises UserError where another process holds it."""
    handle = _hold(folder)
    try:
        yield
    finally:
        os.close(handle)


def _hold(folder: Path) -> int:
    """Return the open, locked folder; the one that held it may just have put it in its place, so it is looked for again."""
    while True:
        refuse_link(folder)
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UserError(f"{folder}: another process is making this artefact; wait until it ends, then run again") from None
        except OSError as error:
            if error.errno not in LOCKLESS:
                os.close(handle)
                raise
        if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
        os.close(handle)


def clear(folder: Path) -> None:
    """Make a folder empty; links in it are removed, not followed."""
    refuse_link(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def replace(partial: Path, out: Path) -> None:
    """Put a finished folder in place; the manifest of an older one goes first, so that no broken artefact is ever named.

    No artefact lies inside another's folder.
    """
    refuse_link(out)
    if out.exists():
        (out / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(out)
    partial.rename(out)
