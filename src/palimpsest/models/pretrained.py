"""A pretrained model at its pinned revision, or from a folder, as an artefact that needs no network afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from palimpsest.errors import UserError
from palimpsest.models.settings import Pretrained, Repository

# Weights are read from safetensors only; pickled ones are never fetched.
PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.jinja", "*.txt")
TOKENIZER = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "chat_template.jinja")


def fetch_model(settings: Pretrained, out: Path) -> None:
    """Put the model's files into `out`: hard links where the file system allows, copies elsewhere.

    Raises UserError for what is neither a folder nor a repository that the hub gives, or holds no model or no tokenizer.
    """
    folder = _fetch(settings.name, settings.revision, PATTERNS, _is_model)
    if not _is_model(folder):
        raise UserError(f"models: {settings.name!r} has no config.json and *.safetensors; convert it with save_pretrained")
    files = _files(folder, PATTERNS)
    if settings.tokenizer is not None:
        own = _files(_fetch_tokenizer(settings.tokenizer), TOKENIZER)
        files = {name: path for name, path in files.items() if not any(Path(name).match(pattern) for pattern in TOKENIZER)} | own
    for name, source in sorted(files.items()):
        try:
            os.link(source, out / name)
        except OSError:
            shutil.copyfile(source, out / name)


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
        raise UserError(f"models: {name!r} is no folder; a model of the hub needs `revision`, the 40 hex digits of its commit")
    return Path(name)


def _files(folder: Path, patterns: Sequence[str]) -> dict[str, Path]:
    """Return the files of a folder that match, by name; of a link, what it points to."""
    return {path.name: path.resolve() for pattern in patterns for path in folder.glob(pattern) if path.is_file()}


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer_config.json").is_file()
