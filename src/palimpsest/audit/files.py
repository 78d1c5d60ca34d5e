"""Check that results contain exactly the files of their manifests."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from palimpsest.audit.artefacts import CONFIG, PAGE, PLAIN, Artefact
from palimpsest.audit.findings import Finding, short
from palimpsest.contract.equivalences import EQUIVALENCES
from palimpsest.contract.store import STORE_FOLDER
from palimpsest.errors import BrokenArtefact
from palimpsest.provenance.canonical import sha256_file
from palimpsest.provenance.manifest import ENVIRONMENT, MANIFEST, PRUNED, is_pruned

# Files at the top of the results besides artefacts: published copies, and files that differ between runs.
COPIES = {"summary.csv": "summary/summary.csv", **{name: f"report/{name}" for name in ("report.html", "samples.html")}}
PUBLISHED = (*COPIES, CONFIG, EQUIVALENCES, "cost.csv", "cost.html", PLAIN, PAGE, "snakemake-report.zip")
UNWATCHED = ("logs", ".scratch", STORE_FOLDER)
# Snakemake's own files in declared folders.
STAMP = ".snakemake_timestamp"


def check_manifest(artefact: Artefact) -> Iterator[Finding]:
    """Yield findings about the manifest itself."""
    try:
        _ = artefact.manifest
    except BrokenArtefact as error:
        yield Finding("tampered", f"{artefact.path}/{MANIFEST}", str(error).partition(": ")[2])
        return
    record = artefact.folder / PRUNED
    if is_pruned(artefact.folder) and record.read_bytes() != (artefact.folder / MANIFEST).read_bytes():
        yield Finding("tampered", f"{artefact.path}/{PRUNED}", f"not a copy of {MANIFEST}")
    if artefact.environment is None:
        yield Finding("missing", f"{artefact.path}/{ENVIRONMENT}", "its environment is not recorded")


def check_file(artefact: Artefact, name: str) -> Iterator[Finding]:
    """Yield findings about one file of a manifest."""
    place, wanted = f"{artefact.path}/{name}", artefact.manifest["files"][name]
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        yield Finding("tampered", f"{artefact.path}/{MANIFEST}", f"it names {name!r}, which is outside the artefact")
        return
    path = artefact.folder / name
    if path.is_symlink():
        return  # reported as a link
    if not path.is_file():
        if name in artefact.pruned:
            return  # its hash is in the manifest
        yield Finding("missing", place, f"{MANIFEST} names it, sha256 {short(wanted['sha256'])}")
        return
    found = sha256_file(path)
    if found != wanted["sha256"]:
        yield Finding("tampered", place, f"sha256 is {found}, {MANIFEST} says {wanted['sha256']}")


def check_strangers(results: Path, artefacts: Mapping[str, Artefact]) -> Iterator[Finding]:
    """Yield links, which may lead anywhere, and files that belong to no artefact."""
    known = {f"{path}/{name}" for path, each in artefacts.items() for name in (MANIFEST, ENVIRONMENT, PRUNED, *_named(each))}
    known |= set(PUBLISHED)
    broken = {path for path, each in artefacts.items() if not each.is_readable}
    for folder, names, files in os.walk(results):
        place = Path(folder).relative_to(results)
        for name in [*names, *files]:
            if Path(folder, name).is_symlink():
                target = Path(folder, name).readlink()
                yield Finding("tampered", (place / name).as_posix(), f"a link to {target}: results must not contain links")
        left = [name for name in names if name.startswith(".") and name.endswith(".partial")]
        for name in left:
            yield Finding("orphaned", (place / name).as_posix(), "left by an interrupted job; snakemake makes it again")
        names[:] = [name for name in names if name not in left and not (place == Path() and name in UNWATCHED)]
        for name in files:
            path = (place / name).as_posix()
            if path not in known and name != STAMP and place.as_posix() not in broken and not Path(folder, name).is_symlink():
                yield Finding("orphaned", path, "no manifest names it")


def check_copies(results: Path) -> Iterator[Finding]:
    """Yield published copies at the top of the results that differ from their artefacts."""
    for name, original in COPIES.items():
        copy, source = results / name, results / original
        if not source.is_file():
            continue  # reported as a missing artefact or file
        if not copy.is_file():
            yield Finding("missing", name, f"the published copy of {original}")
        elif sha256_file(copy) != sha256_file(source):
            yield Finding("tampered", name, f"differs from {original}, of which it is a copy")


def _named(artefact: Artefact) -> list[str]:
    return list(artefact.manifest["files"]) if artefact.is_readable else []
