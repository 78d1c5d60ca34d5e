"""`palimpsest pin`: look up the commit of every Hub repository in config files, and write it into the files in place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from palimpsest.contract.folders import write_whole
from palimpsest.errors import UserError
from palimpsest.hub import Kind, commit_of
from palimpsest.settings import COMMIT
from palimpsest.study.files import nodes, read_file

# The keys of a repository and its revision, by section of the config.
KEYS: dict[str, tuple[tuple[str, str, Kind], ...]] = {
    "models": (("name", "revision", "model"),),
    "checkpoints": (("name", "revision", "model"),),
    "sources": (("repo", "revision", "dataset"), ("gated_repo", "gated_revision", "dataset")),
}
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@dataclass(frozen=True)
class Unpinned:
    """A repository without a commit: the commit in quotes, after `before`, replaces a part of the file."""

    repo: str
    kind: Kind
    revision: str | None
    line: int
    start: int
    end: int
    quote: str
    before: str = ""


def pin(paths: Iterable[Path]) -> list[str]:
    """Write the missing commits into config files, all or none, and return a line about each.

    Comments and layout are kept. Raises UserError with file and line if the Hub does not tell a commit.
    """
    look_up, changes, lines = cache(commit_of), {}, []
    for path in dict.fromkeys(paths):
        read_file(path)
        # Not `read_text`, which would change line ends.
        text = path.read_bytes().decode()
        commits: list[tuple[Unpinned, str]] = []
        for found in sorted(_find(path, text), key=lambda found: found.start):
            try:
                commits.append((found, look_up(found.repo, found.revision, found.kind)))
            except UserError as error:
                raise UserError(f"{path}:{found.line}: {error}") from None
        # From the end, so that earlier places stay where they are.
        for found, commit in reversed(commits):
            text = f"{text[: found.start]}{found.before}{_written(commit, found.quote)}{text[found.end :]}"
            changes[path] = text
        lines += [f"{path}:{found.line}: {found.repo} is at {commit}" for found, commit in commits]
        lines += [] if commits else [f"{path}: every repository has its commit"]
    for path, text in changes.items():
        # A link to a config stays a link.
        write_whole(path.resolve(), text.encode())
    return lines


def _written(commit: str, quote: str) -> str:
    """Return a commit in quotes if it is to have them, or if YAML could take it for a number."""
    quote = quote or ("" if set(commit) & set("abcdf") else '"')
    return f"{quote}{commit}{quote}"


def _find(path: Path, text: str) -> Iterator[Unpinned]:
    # A tab is allowed only in JSON and in comments, and a space is as long.
    root = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    seen: set[int] = set()
    for section, value in root.value:
        if section.value in KEYS:
            for node in nodes(value, seen):
                if isinstance(node, yaml.MappingNode):
                    yield from _repositories(path, text, node, section.value)
        elif section.value == "suites":
            for node in nodes(value, seen):
                yield from _data_sets(path, text, node)


def _repositories(path: Path, text: str, node: yaml.MappingNode, section: str) -> Iterator[Unpinned]:
    pairs = {key.value: (key, value) for key, value in node.value if isinstance(value, yaml.ScalarNode)}
    for name_key, revision_key, kind in KEYS[section]:
        # A model without a base has a null in place of its name.
        if name_key in pairs and pairs[name_key][1].tag.endswith(":null"):
            continue
        key, name = pairs.get(name_key, (None, None))
        if revision_key in pairs:
            revision = pairs[revision_key][1]
            if re.fullmatch(COMMIT, revision.value):
                continue
            if name is None:
                raise UserError(f"{path}:{_line(revision)}: {revision_key}: name its {name_key} in this file too")
            is_null = revision.tag.endswith(":null")
            if not (is_null and Path(name.value).is_dir()):
                _check(path, text, name, revision)
                yield _replaced(name.value, kind, revision)
        elif key is not None and name is not None and not Path(name.value).is_dir():
            _check(path, text, name, name)
            at, before = _place(text, node, key, name)
            quote = (node.flow_style and key.style) or ""
            yield Unpinned(name.value, kind, None, _line(name), at, at, quote, f"{before}{quote}{revision_key}{quote}: ")


def _data_sets(path: Path, text: str, node: yaml.Node) -> Iterator[Unpinned]:
    """Yield the data sets of an lm-eval suite; in the config, a data set is a key and its commit the value."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        for repo, revision in value.value if key.value == "datasets" and isinstance(value, yaml.MappingNode) else ():
            if isinstance(revision, yaml.ScalarNode) and not re.fullmatch(COMMIT, revision.value):
                _check(path, text, repo, revision)
                yield _replaced(repo.value, "dataset", revision)


def _replaced(repo: str, kind: Kind, revision: yaml.ScalarNode) -> Unpinned:
    said = None if revision.tag.endswith(":null") else revision.value
    start, end = revision.start_mark.index, revision.end_mark.index
    return Unpinned(repo, kind, said, _line(revision), start, end, revision.style or "")


def _place(text: str, node: yaml.MappingNode, key: yaml.ScalarNode, name: yaml.ScalarNode) -> tuple[int, str]:
    """Return where the revision belongs after the name, and what separates them."""
    end = name.end_mark.index
    if node.flow_style:
        return end, ", "
    newline = "\r\n" if "\r\n" in text else "\n"
    rest_of_line = re.compile(r"[^\r\n]*").match(text, end)
    assert rest_of_line
    return rest_of_line.end(), f"{newline}{' ' * key.start_mark.column}"


def _check(path: Path, text: str, name: yaml.ScalarNode, written: yaml.ScalarNode) -> None:
    """Refuse what is no name on the Hub, and a value that cannot be edited in its place."""
    if not HUB_NAME.fullmatch(name.value):
        raise UserError(f"{path}:{_line(name)}: there is no folder {name.value!r}, and this is no name on the Hub")
    if text[written.start_mark.index : written.end_mark.index].strip("'\"") != written.value:
        raise UserError(f"{path}:{_line(written)}: {written.value!r} is an anchor or folded: write it as plain text")


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1
