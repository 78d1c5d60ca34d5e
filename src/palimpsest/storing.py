"""The command `palimpsest store`: what a store holds, what of it nobody uses, and copies of it elsewhere."""

import argparse
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from palimpsest.arguments import filled, filled_path, whole
from palimpsest.contract.store import UNFINISHED, entry_of, entry_path, remove, store_of, verify_entry
from palimpsest.errors import BrokenArtefact, UserError, first_line
from palimpsest.helps import with_examples
from palimpsest.provenance.manifest import ENVIRONMENT, MANIFEST

if TYPE_CHECKING:
    from palimpsest.arguments import Parser

DAY = 86400.0
# Bytes that no results share, of which a run says something.
MUCH = 1e9
RESULTS = "results"
RECORDS = (MANIFEST, ENVIRONMENT)


@dataclass(frozen=True)
class Entry:
    """An artefact in a store."""

    key: str
    folder: Path
    bytes: int
    used: float
    """When it was made or last taken, in seconds (time.time())."""
    is_linked: bool
    """Whether results on the same file system share its files, so that removing it frees nothing."""


def list_entries(store: Path) -> list[Entry]:
    """Return the entries of a store, the longest unused first."""
    found = []
    for folder in store.glob("??/*"):
        if not folder.name.startswith(UNFINISHED) and (folder / MANIFEST).is_file():
            files = [path.stat() for path in folder.rglob("*") if path.is_file() and path.name not in RECORDS]
            linked = any(file.st_nlink > 1 for file in files)
            found.append(Entry(folder.name, folder, sum(file.st_size for file in files), folder.stat().st_mtime, linked))
    return sorted(found, key=lambda entry: (entry.used, entry.key))


def unused_entries(store: Path, days: float) -> list[Entry]:
    """Return the entries that no results share and that were not used for this many days."""
    since = time.time() - days * DAY
    return [entry for entry in list_entries(store) if not entry.is_linked and entry.used <= since]


def told_unshared(results: str) -> str | None:
    """Return a line on the store of a study if it holds much that no results share; None if it does not, or nobody can tell."""
    store = store_of(results)
    # Across file systems nothing is shared.
    if store is None or not store.exists() or store.stat().st_dev != Path(results).stat().st_dev:
        return None
    unshared = sum(entry.bytes for entry in list_entries(store) if not entry.is_linked)
    command = "palimpsest store gc" + (f" --results {results}" if results != RESULTS else "")
    return f"{store}: no results share {unshared / 1e9:.1f} GB; `{command}` removes what is unused" if unshared >= MUCH else None


def abandoned(store: Path, days: float = 1) -> list[Path]:
    """Return what killed processes left unfinished in a store, and what nobody has written to for so many days."""
    since = time.time() - days * DAY
    return sorted(path for path in store.glob(f"*/{UNFINISHED}*") if path.stat().st_mtime <= since)


def push(store: Path, url: str) -> Iterator[str]:
    """Copy the entries that another place lacks to it, and yield their keys; raises UserError if it cannot be written."""
    system, root = _open(url)
    there = set(_keys(system, root, url))
    for entry in list_entries(store):
        if entry.key not in there:
            target = f"{root}/{entry_path(entry.key)}"
            # The manifest last: an entry without it is not there.
            files = sorted((path for path in entry.folder.rglob("*") if path.is_file()), key=lambda path: path.name == MANIFEST)
            with _explained(url):
                for path in files:
                    name = f"{target}/{path.relative_to(entry.folder).as_posix()}"
                    system.makedirs(name.rpartition("/")[0], exist_ok=True)
                    system.put_file(str(path), name)
            yield entry.key


def pull(store: Path, url: str) -> Iterator[str]:
    """Copy the entries that a store lacks from another place, and yield their keys; raises UserError for a damaged one."""
    system, root = _open(url)
    for key in _keys(system, root, url):
        entry = entry_of(store, key)
        if entry.exists():
            continue
        partial = entry.with_name(f"{UNFINISHED}{uuid4().hex}")
        source, unchecked = f"{root}/{entry_path(key)}", partial / key
        try:
            with _explained(url):
                for name in system.find(source):
                    path = unchecked / name.removeprefix(source).lstrip("/")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    system.get_file(name, str(path))
            try:
                verify_entry(unchecked)
            except BrokenArtefact:
                raise UserError(f"{url}: the entry {key[:12]} is damaged: delete it there, and push it again") from None
            unchecked.rename(entry)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        yield key


def _open(url: str) -> tuple[Any, str]:
    """Return the file system of an address and the path on it."""
    from fsspec.core import url_to_fs

    with _explained(url):
        system, root = url_to_fs(url)
    return system, str(root).rstrip("/")


def _keys(system: Any, root: str, url: str) -> list[str]:
    with _explained(url):
        return sorted(path.split("/")[-2] for path in system.glob(f"{root}/??/*/{MANIFEST}"))


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Raise UserError in place of the many errors that file systems have."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{url}: {first_line(error)}") from None


def add_store(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add `store` and its subcommands."""
    brief, examples = "what was made once and need not be made again", with_examples("store list", "store gc --dry-run")
    store = commands.add_parser("store", help=brief, description="Look after a store.", **examples)
    below = store.add_subparsers(required=True, metavar="COMMAND")
    for name, run, example, text in (
        ("list", _list, "list", "Say how much a store holds, and how much of it no results share."),
        ("gc", _collect, "gc --days 7", "Remove the entries that no results share and that were not used for some days."),
        ("push", _push, "push s3://bucket/store", "Copy the entries that another place lacks to it."),
        ("pull", _pull, "pull s3://bucket/store", "Copy the entries that the store lacks from another place."),
    ):
        brief, examples = text[0].lower() + text[1:-1], with_examples(f"store {example}")
        parser = below.add_parser(name, help=brief, description=text, **examples)
        if name in ("push", "pull"):
            parser.add_argument(
                "url", type=filled, metavar="PLACE", help="a folder or an address of fsspec, as s3://bucket/store"
            )
        if name == "gc":
            parser.add_argument("--days", type=whole(0), default=30, help="keep what was used within so many days (default 30)")
            parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
        text = "the results whose store is meant, unless PALIMPSEST_STORE names another (default results)"
        parser.add_argument("--results", type=filled_path, default=Path(RESULTS), metavar="RESULTS", help=text)
        parser.set_defaults(run=run, prog=parser.prog)


def _store(args: argparse.Namespace) -> Path:
    store = store_of(str(args.results))
    if store is None:
        raise UserError("PALIMPSEST_STORE=no: there is no store")
    return store


def _list(args: argparse.Namespace) -> int:
    store = _store(args)
    found = list_entries(store)
    alone = [entry for entry in found if not entry.is_linked]
    print(f"{store}: {_size(found)}; no results here share {_size(alone)}")
    return 0


def _collect(args: argparse.Namespace) -> int:
    store = _store(args)
    unused = unused_entries(store, args.days)
    for place in [] if args.dry_run else [*(entry.folder for entry in unused), *abandoned(store)]:
        remove(place)
    print(f"{store}: {'would remove' if args.dry_run else 'removed'} {_size(unused)}")
    return 0


def _push(args: argparse.Namespace) -> int:
    store = _store(args)
    print(f"{store}: {len(list(push(store, args.url)))} entries copied to {args.url}")
    return 0


def _pull(args: argparse.Namespace) -> int:
    store = _store(args)
    print(f"{store}: {len(list(pull(store, args.url)))} entries copied from {args.url}")
    return 0


def _size(entries: list[Entry]) -> str:
    return f"{len(entries)} entries, {sum(entry.bytes for entry in entries) / 1e6:.1f} MB"
