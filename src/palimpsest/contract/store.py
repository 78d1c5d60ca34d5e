"""The store: finished artefacts by key, so that what was made once is linked and not made again.

An entry is a copy of an artefact's folder that shares its files with the results where the file system allows it. Sources,
which have no inputs, are not stored, because their key does not tell what a folder or a package holds today.
"""

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from palimpsest.contract.archive import pack
from palimpsest.contract.command import parse_stage
from palimpsest.contract.equivalences import equivalences_of
from palimpsest.contract.folders import replace, workplace
from palimpsest.environment import STORE, store_folder
from palimpsest.errors import BrokenArtefact
from palimpsest.provenance.canonical import sha256_text
from palimpsest.provenance.digest import module_hashes
from palimpsest.provenance.manifest import (
    ENVIRONMENT,
    MANIFEST,
    content_of,
    is_pruned,
    key_in,
    key_of,
    read_manifest,
    verify_artefact,
)

# The store in a folder of results.
STORE_FOLDER = ".store"
# Begins the name of what a process is putting into a store; a killed process leaves it.
UNFINISHED = "."


def scratch_of(scratch: Path, key: str, out: Path) -> Path:
    """Return the folder for the unfinished work on an artefact.

    It is named after the key, so a checkpoint of other settings or code is never resumed, and after the artefact's place, because
    two artefacts may have the same key.
    """
    return scratch / sha256_text(f"{key} {os.path.relpath(out, scratch)}")[:32]


def store_of(results: str) -> Path | None:
    """Return the store of a study: the one of the environment, or a folder in its results."""
    return store_folder({STORE: f"{results}/{STORE_FOLDER}", **os.environ})


def entry_of(store: Path, key: str) -> Path:
    """Return the folder of an entry of a store."""
    return store / entry_path(key)


def entry_path(key: str) -> str:
    """Return the path of an entry in a store."""
    return f"{key[:2]}/{key}"


def modules_of(store: Path, code: str) -> dict[str, str] | None:
    """Return a hash of the code of each module behind a code digest; None if the store does not know the digest."""
    try:
        found: dict[str, str] = json.loads(_code_file(store, code).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _code_file(store: Path, code: str) -> Path:
    return store / "code" / f"{sha256_text(code)[:32]}.json"


def keep(store: Path | None, key: str, out: Path) -> None:
    """Put a finished artefact into a store, if there is one and the artefact is no source and whole."""
    if store is not None and not is_pruned(out) and (manifest := read_manifest(out / MANIFEST))["inputs"]:
        _put(store, entry_of(store, key), lambda partial: _link(manifest, out, partial))


def record_code(store: Path | None, stage: str, code: str) -> None:
    """Record in a store, if there is one, which modules today's code of a stage has."""
    if store is not None:
        hashes = json.dumps(module_hashes(stage, *code.split("+")[1:]))
        _put(store, _code_file(store, code), lambda partial: partial.write_text(hashes, encoding="utf-8"))


def _put(store: Path, place: Path, write: Callable[[Path], object]) -> None:
    """Write into a store what it lacks, whole or not at all.

    The artefact is made; a store that is full or cannot be written makes no run fail.
    """
    partial = place.with_name(f"{UNFINISHED}{uuid4().hex}")
    try:
        if not place.exists():
            partial.parent.mkdir(parents=True, exist_ok=True)
            write(partial)
            partial.rename(place)
    except OSError as error:
        # Another process may have put the same in the meantime.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            print(f"palimpsest: {store}: not stored: {error.strerror or error}", file=sys.stderr)
    finally:
        remove(partial)


def remove(place: Path) -> None:
    """Remove a file or a folder, which may be missing and which another process may also be removing."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with suppress(OSError):
            place.unlink()


def take(stage: str, arguments: list[str]) -> dict[str, Any] | None:
    """Put the stored artefact of a stage's command line into its place, and return its manifest; None if it is not stored.

    A damaged entry is removed.
    """
    store = store_folder()
    if store is None:
        return None
    args = parse_stage(stage, arguments)
    if not args.code or not args.inputs:
        return None
    try:
        contents = {label: content_of(read_manifest(path)) for label, path in args.inputs}
        spec = json.loads(args.spec)
    except (BrokenArtefact, ValueError):
        return None
    keys = [key_of(stage, spec, code, contents) for code in equivalences_of(args.out).ordered(stage, args.code)]
    key = next((key for key in keys if entry_of(store, key).exists()), None)
    if key is None:
        return None
    entry = entry_of(store, key)
    try:
        manifest = verify_entry(entry)
    except BrokenArtefact as error:
        print(f"palimpsest: {error}; removed from the store, and made again", file=sys.stderr)
        remove(entry)
        return None
    out: Path = args.out.parent
    with workplace(out, scratch_of(args.scratch, key, out)) as partial:
        try:
            _link(manifest, entry, partial)
        except FileNotFoundError:
            # Another process has just removed it.
            return None
        replace(partial, out)
    with suppress(FileNotFoundError):
        os.utime(entry)
    if args.outputs:
        pack(out, args.outputs)
    return manifest


def verify_entry(entry: Path) -> dict[str, Any]:
    """Return the manifest of an entry after checking its files and its key; raises BrokenArtefact."""
    manifest = verify_artefact(entry / MANIFEST)
    if key_in(manifest) != entry.name:
        raise BrokenArtefact(f"{entry / MANIFEST}: the manifest of another artefact")
    return manifest


def _link(manifest: Mapping[str, Any], source: Path, target: Path) -> None:
    """Link the files of an artefact into another folder; raises FileNotFoundError if one of them is missing."""
    # As the manifest names them: a list of the folder would be shorter if another process is removing it.
    for name in (*manifest["files"], MANIFEST, *([ENVIRONMENT] if (source / ENVIRONMENT).exists() else [])):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(source / name, target / name)


def _link_or_copy(source: Path, target: Path) -> None:
    """Link a file, or copy it where that is impossible; an artefact's records are copied, so that their times are their own."""
    if source.name not in (MANIFEST, ENVIRONMENT):
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            # Snakemake compares the times of files.
            os.utime(target)
            return
    shutil.copyfile(source, target)
