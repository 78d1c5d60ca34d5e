"""The folders that a stage writes into: locked by one process at a time, never reached through a link."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from palimpsest.errors import UserError
from palimpsest.faults import explained
from palimpsest.provenance.manifest import MANIFEST

# Errors of file systems that cannot lock folders, such as some kinds of NFS; there Snakemake's own lock is the only one.
LOCKLESS = (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


def refuse_link(path: Path) -> None:
    """Raise UserError if a path is a link, because files would be written elsewhere."""
    if path.is_symlink():
        raise UserError(f"{path}: a link to {path.readlink()}; stages do not write through links: delete it and run again")


@contextmanager
def workplace(out: Path, scratch: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out` for the artefact; it is locked like `scratch`, and removed if the work fails."""
    partial = out.with_name(f".{out.name}.partial")
    refuse_link(out)
    with held(partial), held(scratch):
        clear(partial)
        try:
            with explained([partial, scratch]):
                yield partial
        except BaseException:
            # On a full disk this frees space for the error message.
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
    """Create a folder if it is missing, and lock it within this block; raises UserError if another process has locked it."""
    handle = _hold(folder)
    try:
        yield
    finally:
        os.close(handle)


def _hold(folder: Path) -> int:
    """Return the open, locked folder; if another process has just moved it into place, create and lock a new one."""
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


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a file that it replaces gives it its mode."""
    partial = path.with_name(f".{uuid4().hex}.partial")
    try:
        partial.write_bytes(content)
        if path.exists():
            shutil.copymode(path, partial)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def replace(partial: Path, out: Path) -> None:
    """Move a finished folder into place; an older manifest is deleted first, so that none ever names a broken artefact.

    Folders with other artefacts stay: the evaluations of an attacked model are in the folder of the attack.
    """
    refuse_link(out)
    if out.exists():
        (out / MANIFEST).unlink(missing_ok=True)
        for path in out.iterdir():
            if path.is_dir() and not path.is_symlink() and any(path.rglob(MANIFEST)):
                path.rename(partial / path.name)
        shutil.rmtree(out)
    partial.rename(out)
