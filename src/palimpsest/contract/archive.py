"""Artefacts on a storage of Snakemake: the files that a manifest names travel in one archive beside it."""

import shutil
import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from palimpsest import processes
from palimpsest.environment import storage_folder
from palimpsest.errors import BrokenArtefact
from palimpsest.faults import explained
from palimpsest.provenance.manifest import MANIFEST, read_manifest

ARCHIVE = "files.tar"


def pack(out: Path, declared: Collection[Path]) -> None:
    """Put the files of a finished artefact into its archive, and remove those that its rule does not declare.

    The bytes of the archive depend only on the names and bytes of the files. The manifest lies beside it.
    """
    with explained([out]), tarfile.open(out / ARCHIVE, "w") as archive:
        for name, wanted in sorted(read_manifest(out / MANIFEST)["files"].items()):
            path, member = out / name, tarfile.TarInfo(name)
            member.size = wanted["size"]
            with path.open("rb") as file:
                archive.addfile(member, file)
            # At once, so that no two copies of a large model are on the disk.
            if not {path, *path.parents} & set(declared):
                path.unlink()


def unpack(manifest: Path, folder: Path) -> Path:
    """Unpack the archive beside a manifest into a new folder, and return the manifest there.

    Raises BrokenArtefact if the archive is missing or incomplete or holds another artefact.
    """
    archive, wanted = manifest.with_name(ARCHIVE), read_manifest(manifest)["files"].keys()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:") as opened:
            members = {member.name: member for member in opened if member.isreg()}
            if members.keys() != wanted:
                raise tarfile.TarError(f"{min(members.keys() ^ wanted)} is in only one of both")
            for name, member in members.items():
                path, content = folder / name, opened.extractfile(member)
                if content is None or not path.resolve().is_relative_to(folder.resolve()):
                    raise tarfile.TarError(f"{name} leads out of its artefact")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (FileNotFoundError, tarfile.TarError) as error:
        raise BrokenArtefact(f"{archive}: not the files of {manifest} ({error}); delete both in the storage and rerun") from None
    return Path(shutil.copyfile(manifest, folder / MANIFEST))


@contextmanager
def at_hand(inputs: Sequence[tuple[str, Path]], scratch: Path) -> Iterator[Sequence[tuple[str, Path]]]:
    """Yield the manifests of a job's inputs, by label, with their files beside them.

    With a storage, the main process unpacks them into a folder in `scratch` that goes with this block.
    """
    storage = storage_folder()
    if storage is None:
        yield inputs
    elif not processes.is_main():
        yield processes.main_value([])
    else:
        scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="inputs-", dir=scratch) as name:
            folder, found = Path(name), dict[Path, Path]()
            with explained([folder]):
                for _, path in inputs:
                    if path not in found:
                        found[path] = unpack(path, folder / path.parent.relative_to(storage))
            yield processes.main_value([(label, found[path]) for label, path in inputs])
