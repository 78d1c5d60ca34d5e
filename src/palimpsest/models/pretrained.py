"""Store a pretrained model, at a pinned revision or from a folder, as an artefact that needs no network afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from palimpsest.errors import UserError
from palimpsest.models.loading import ADAPTER, refuse_adapter
from palimpsest.models.settings import Pretrained, Repository

# Weights are read only from safetensors; pickled weights are never downloaded.
PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.jinja", "*.txt")
VOCABULARY = ("tokenizer.json", "*.model", "vocab.*")
SHARD = re.compile(r"(.+)-\d{5}-of-(\d{5})\.safetensors")
POINTER = b"version https://git-lfs.github.com/spec/"
TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "chat_template.jinja")


def fetch_model(settings: Pretrained, out: Path) -> None:
    """Put the model's files into `out`: those of the Hub's cache as hard links if the file system allows, otherwise as copies.

    An adapter is merged into the model that it changes. Raises UserError if the source is neither a folder nor an accessible
    repository, or has no model or no tokenizer.
    """
    assert settings.name is not None
    if settings.over is not None:
        _fetch_merged(settings.name, settings.revision, settings.over, settings.tokenizer, out)
        return
    folder = _fetch(settings.name, settings.revision, PATTERNS, _is_model if settings.tokenizer else _has_all)
    refuse_adapter(folder, f"models: {settings.name!r}")
    if missing := _missing_shards(folder):
        raise UserError(f"models: {settings.name!r} lacks {missing[0]}, a part of its weights; download it again")
    if not _is_model(folder):
        raise UserError(f"models: {settings.name!r} has no config.json and *.safetensors; convert it with save_pretrained")
    if settings.tokenizer is None and not _has_tokenizer(folder):
        raise UserError(f"models: {settings.name!r} has no tokenizer_config.json; name its tokenizer under `tokenizer`")
    files = _files(folder, PATTERNS)
    linked = set(files) if settings.revision else set()
    if settings.tokenizer is not None:
        own = _files(_fetch_tokenizer(settings.tokenizer), TOKENIZER)
        files = {name: path for name, path in files.items() if not any(Path(name).match(pattern) for pattern in TOKENIZER)} | own
        linked = linked - own.keys() if settings.tokenizer.revision is None else linked | own.keys()
    if not any(Path(name).match(pattern) for name in files for pattern in VOCABULARY):
        raise UserError(f"models: {(settings.tokenizer or settings).name!r} has no vocabulary: none of {', '.join(VOCABULARY)}")
    for name, source in sorted(files.items()):
        if _is_pointer(source):
            raise UserError(
                f"models: {settings.name!r}: {name} is a Git LFS pointer, not the file; download it with `git lfs pull`"
            )
        _put(source, out / name, linked=name in linked)


def _put(source: Path, target: Path, *, linked: bool) -> None:
    """Link a file of the Hub's cache, which never changes; copy any other, which its owner may overwrite in place."""
    if linked:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def _fetch_merged(name: str, revision: str | None, over: Repository, tokenizer: Repository | None, out: Path) -> None:
    from palimpsest.models.merging import WEIGHTS, merge_adapter

    adapter = _fetch(name, revision, (ADAPTER, WEIGHTS), lambda folder: (folder / WEIGHTS).is_file())
    if not (adapter / ADAPTER).is_file():
        raise UserError(f"models: {name!r} has no {ADAPTER}, so it is no adapter; leave out `over`")
    # A base may be larger than the machine's folder for temporary files.
    with TemporaryDirectory(dir=out) as folder:
        fetch_model(Pretrained(kind="pretrained", **over.model_dump(), tokenizer=tokenizer), Path(folder))
        merge_adapter(adapter, Path(folder), out)


def _fetch_tokenizer(repository: Repository) -> Path:
    folder = _fetch(repository.name, repository.revision, TOKENIZER, _has_tokenizer)
    if not _has_tokenizer(folder):
        raise UserError(f"models: {repository.name!r} has no tokenizer_config.json; name a repository with a tokenizer")
    return folder


def _fetch(name: str, revision: str | None, patterns: Sequence[str], whole: Callable[[Path], bool]) -> Path:
    if revision is not None:
        from palimpsest.hub import fetch_snapshot

        return fetch_snapshot(name, revision, "model", patterns, whole=whole)
    if not Path(name).is_dir():
        raise UserError(f"models: {name!r} is not a folder; for the Hub run `palimpsest pin FILE` once")
    return Path(name)


def _files(folder: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """Return the matching files of a folder by name, with links resolved."""
    return {path.name: path.resolve() for pattern in patterns for path in folder.glob(pattern) if path.is_file()}


def _is_model(folder: Path) -> bool:
    weights = [path for path in folder.glob("*.safetensors") if path.is_file()]
    return (folder / "config.json").is_file() and bool(weights) and not _missing_shards(folder)


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def _missing_shards(folder: Path) -> list[str]:
    """Return the missing parts of the weights; an interrupted download is incomplete."""
    parts = {path.name for path in folder.glob("*.safetensors") if path.is_file()}
    totals = {(match[1], match[2]) for name in parts if (match := SHARD.fullmatch(name))}
    wanted = {f"{stem}-{number:05d}-of-{total}.safetensors" for stem, total in totals for number in range(1, int(total) + 1)}
    for index in folder.glob("*.safetensors.index.json"):
        try:
            wanted |= {str(name) for name in json.loads(index.read_bytes())["weight_map"].values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{index}: not an index of weights; download it again, or save the model again") from None
    return sorted(wanted - parts)


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer_config.json").is_file()


def _has_all(folder: Path) -> bool:
    """Return whether a cached folder has a model and a complete tokenizer."""
    return _is_model(folder) and _has_tokenizer(folder) and any(any(folder.glob(name)) for name in VOCABULARY)
