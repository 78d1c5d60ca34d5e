"""Prune the weights of a finished artefact, which can be made again, and keep everything else of it.

The record of it is a copy of the manifest, so that the artefact is known even while it is made again. The record comes first: an
artefact with a record is pruned, whatever is left of its weights.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from palimpsest.contract.folders import write_whole
from palimpsest.contract.store import entry_of
from palimpsest.environment import store_folder
from palimpsest.errors import UserError
from palimpsest.provenance.manifest import (
    MANIFEST,
    PRUNED,
    content_of,
    is_pruned,
    key_in,
    read_manifest,
    weight_files,
)

# The record of weights that stay, because what was made of them was made of others.
STAYS = b"{}\n"


def prune(folder: Path, store: Path | None) -> int:
    """Remove the weights of an artefact from its folder and from the store, and return the bytes that this frees.

    Files that other results share stay theirs, and so does their entry in the store.
    """
    manifest = read_manifest(folder / MANIFEST)
    own, entry = _files(folder, manifest), _entry(store, manifest)
    stored = _files(entry, manifest) if entry else []
    freed = _freed([*own, *stored])
    write_whole(folder / PRUNED, (folder / MANIFEST).read_bytes())
    for path in own:
        path.unlink()
    if entry and all(path.stat().st_nlink == 1 for path in stored):
        # The store may belong to somebody else.
        shutil.rmtree(entry, ignore_errors=True)
    return freed


def freed_by(folder: Path, store: Path | None) -> int:
    """Return the bytes that pruning an artefact would free."""
    manifest = read_manifest(folder / MANIFEST)
    entry = _entry(store, manifest)
    return _freed([*_files(folder, manifest), *(_files(entry, manifest) if entry else [])])


def is_left(folder: Path) -> bool:
    """Return whether weights are left of an artefact that was pruned, as of an interrupted pruning."""
    return is_pruned(folder) and bool(_files(folder, read_manifest(folder / MANIFEST)))


def restore(folder: Path) -> None:
    """Put back the manifest of a pruned artefact, which is missing after its making again was interrupted."""
    if is_pruned(folder) and not (folder / MANIFEST).exists():
        write_whole(folder / MANIFEST, (folder / PRUNED).read_bytes())


def difference_from_pruned(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    """Return a line if an artefact was pruned and is made again with other bytes, as a GPU may give."""
    if not is_pruned(folder):
        return None
    before = read_manifest(folder / PRUNED)
    if key_in(before) != key_in(manifest) or content_of(before) == content_of(manifest):
        return None
    return f"{folder}: other bytes than those that were pruned; what was made of those is to be made again"


def settle(model: Path, readers: Iterable[Path], store: Path | None) -> str:
    """Prune a model whose readers are all made, unless one was made of other weights; return a line about it. Takes manifests."""
    folder, content = model.parent, content_of(read_manifest(model))
    for reader in readers:
        if content not in read_manifest(reader)["inputs"].values():
            write_whole(folder / PRUNED, STAYS)
            return f"{folder}: its weights stay: {reader.parent} was made of others, and is to be made again"
    return f"{folder}: pruned, {prune(folder, store) / 1e6:.1f} MB"


def main(arguments: Sequence[str]) -> int:
    """Run the rule `prune`; the arguments are the manifest of a model and the manifests of its readers."""
    model, *readers = map(Path, arguments)
    try:
        print(settle(model, readers, store_folder()))
    except UserError as error:
        print(f"palimpsest prune: {error}", file=sys.stderr)
        return error.exit
    return 0


def _entry(store: Path | None, manifest: Mapping[str, Any]) -> Path | None:
    if store is None:
        return None
    entry = entry_of(store, key_in(manifest))
    return entry if entry.is_dir() else None


def _files(folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    return [path for name in weight_files(manifest) if (path := folder / name).is_file()]


def _freed(paths: Iterable[Path]) -> int:
    """Return the bytes of the files all of whose links are among these paths."""
    found: dict[tuple[int, int], list[os.stat_result]] = {}
    for path in paths:
        stat = path.stat()
        found.setdefault((stat.st_dev, stat.st_ino), []).append(stat)
    return sum(links[0].st_size for links in found.values() if len(links) == links[0].st_nlink)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
