"""The store: finished artefacts by key, so that what was made once is linked and not made again.

An entry is a copy of an artefact's folder that shares its files with the results where the file system allows it. Sources,
which have no inputs, are not stored, because their key does not tell what a folder or a package holds today.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from uuid import uuid4

from palimpsest.contract.command import parse_stage
from palimpsest.contract.equivalences import equivalences_beside
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
    key_of,
    read_manifest,
    verify_artefact,
)

# The store in a folder of results.
STORE_FOLDER = ".store"


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
    if store is None or is_pruned(out) or not read_manifest(out / MANIFEST)["inputs"]:
        return
    entry = entry_of(store, key)
    partial = entry.with_name(f".{uuid4().hex}")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _link(out, partial)
        if not entry.exists():
            partial.rename(entry)
    except OSError as error:
        # The artefact is made; a store that is full or that another process fills at the same time makes no run fail.
        print(f"palimpsest: {store}: not stored: {error.strerror}", file=sys.stderr)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def record_code(store: Path | None, stage: str, code: str) -> None:
    """Record in a store, if there is one, which modules today's code of a stage has."""
    path = store and _code_file(store, code)
    if path and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{uuid4().hex}")
        partial.write_text(json.dumps(module_hashes(stage, *code.split("+")[1:])), encoding="utf-8")
        partial.rename(path)


def take(stage: str, arguments: list[str]) -> dict[str, object] | None:
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
    equal = equivalences_beside(args.scratch).codes(stage, args.code)
    # What the code itself made goes first.
    keys = [key_of(stage, spec, code, contents) for code in sorted(equal, key=lambda code: (code != args.code, code))]
    key = next((key for key in keys if (entry_of(store, key) / MANIFEST).is_file()), None)
    if key is None:
        return None
    entry = entry_of(store, key)
    try:
        manifest = verify_artefact(entry / MANIFEST)
    except BrokenArtefact as error:
        print(f"palimpsest: {error}; removed from the store, and made again", file=sys.stderr)
        shutil.rmtree(entry, ignore_errors=True)
        return None
    out: Path = args.out.parent
    with workplace(out, scratch_of(args.scratch, key, out)) as partial:
        _link(entry, partial)
        replace(partial, out)
    os.utime(entry)
    return manifest


def _link(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_link_or_copy, dirs_exist_ok=True)


def _link_or_copy(source: str, target: str) -> None:
    """Link a file, or copy it where that is impossible; an artefact's records are copied, so that their times are their own."""
    if Path(source).name not in (MANIFEST, ENVIRONMENT):
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            # Snakemake compares the times of files.
            os.utime(target)
            return
    shutil.copyfile(source, target)
