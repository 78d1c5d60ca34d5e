"""Read text columns from the files of a corpus (parquet shards as on the Hub, or JSON lines), and name texts by content."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from palimpsest.data.rows import Text
from palimpsest.errors import UserError
from palimpsest.lines import read_objects, sign_of
from palimpsest.provenance.canonical import sha256_file, sha256_text

_COUNT = re.compile(r"-\d{5}-of-(\d{5})\.parquet$")


def list_files(folder: Path, name: str) -> list[Path]:
    """Return the existing files of a set: `{name}-*.parquet` in order, or else `{name}.jsonl`."""
    lines = folder / f"{name}.jsonl"
    return sorted(folder.glob(f"{name}-*.parquet")) or ([lines] if lines.is_file() else [])


def missing_file(folder: Path, name: str) -> Path | None:
    """Return the first missing file of a set; the name of each shard contains the number of shards."""
    return next((path for path in _shards(folder, name) if not path.is_file()), None)


def _shards(folder: Path, name: str) -> list[Path]:
    """Return the expected files of a set, according to the name of its last file."""
    files = list_files(folder, name)
    last = files[-1].name if files else f"{name}-00000-of-00001.parquet"
    count = _COUNT.search(last)
    return [folder / f"{name}-{i:05d}-of-{count[1]}.parquet" for i in range(int(count[1]))] if count else [folder / last]


def read_columns(folder: Path, name: str, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a set in order, with null as a blank text.

    Raises UserError that names the file (and row) that is missing, broken or without a column.
    """
    missing = missing_file(folder, name)
    if missing and not list_files(folder, name):
        raise UserError(f"{folder}: neither {missing.name} nor {name}.jsonl exists; required columns: {', '.join(columns)}")
    if missing:
        raise UserError(f"{missing}: missing, although other files of {name} exist")
    if others := {*list_files(folder, name), *folder.glob(f"{name}.jsonl")} - {*_shards(folder, name)}:
        raise UserError(
            f"{folder}: {name}: {min(others).name} and {_shards(folder, name)[0].name} contain the same set; keep one"
        )
    for path in list_files(folder, name):
        for number, row in read_objects(path) if path.suffix == ".jsonl" else _read_parquet(path, columns):
            wrong = next((column for column in columns if not isinstance(row.get(column, 0), str | None)), None)
            if wrong:
                raise UserError(f"{path}:{number}: no text in column {wrong}; required columns: {', '.join(columns)}")
            yield {column: row[column] or "" for column in columns}


def name_texts(texts: Iterable[str]) -> list[Text]:
    """Return texts with ids from their contents: equal texts have equal ids in all sets; repetitions in a set are numbered."""
    times = Counter[str]()
    named = []
    for text in texts:
        name = f"text-{sha256_text(text)[:16]}"
        times[name] += 1
        named.append(Text(id=name if times[name] == 1 else f"{name}-{times[name]}", text=text))
    return named


def hash_sets(folder: Path, sets: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the sha256 of each file of some sets (pairs of subfolder and name) by its path in the folder."""
    files = (path for config, name in sets for path in list_files(folder / config, name))
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


def _read_parquet(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            found = file.schema_arrow.names
            lacking = next((column for column in columns if column not in found), None)
            if lacking:
                raise UserError(f"{path}: no column {lacking}, only {', '.join(found)}; required columns: {', '.join(columns)}")
            rows = (row for batch in file.iter_batches(columns=list(columns)) for row in batch.to_pylist())
            yield from enumerate(rows, start=1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable parquet file: {_cause(path, error)}") from None


def _cause(path: Path, error: Exception) -> str:
    """Return the kind of a file that is not parquet, or the message of the parquet reader."""
    kind = sign_of(path)
    return str(error).splitlines()[0] if kind is None or "parquet" in kind else kind
