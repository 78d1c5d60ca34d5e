"""Read a MUSE corpus (Shi et al. 2024, arXiv 2407.06460) from files in the layout of the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.benchmarks.muse.overlap import find_doubts, find_faults
from palimpsest.data.columns import hash_sets, list_files, missing_file, name_texts, read_columns
from palimpsest.data.overlap import settle
from palimpsest.data.rows import Excerpt, Pair, Text
from palimpsest.errors import UserError

README = "README.md"
# The required sets of each subset, and the subsets that may have parts `forget_1`, `forget_2` and so on.
SETS = {
    "raw": ("forget", "retain1", "retain2", "holdout"),
    "verbmem": ("forget",),
    "knowmem": ("forget_qa", "forget_qa_icl", "retain_qa", "retain_qa_icl"),
    "privleak": ("forget", "holdout"),
}
SCALES, REQUESTS = "scal", "sust"
MOST_PARTS = 9
PARTS = [f"forget_{number}" for number in range(1, MOST_PARTS + 1)]
_PART_FILE = re.compile(rf"({'|'.join(PARTS)})(-.*\.parquet|\.jsonl)")
REQUIRED = [(config, name) for config, names in SETS.items() for name in names]
OPTIONAL = [(config, name) for config in (SCALES, REQUESTS) for name in PARTS]


def hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that is read, as far as the files exist."""
    return hash_sets(folder, (*REQUIRED, *OPTIONAL))


def is_whole(folder: Path) -> bool:
    """Return whether a cached folder has the files of every corpus; the Hub's cache lists the other files."""
    return not any(missing_file(folder / config, name) for config, name in REQUIRED)


def read_corpus(folder: Path, where: str, *, published: bool) -> MuseData:
    """Return the corpus in a folder, with the counts of overlaps between its sets; messages about overlaps begin with `where`.

    Raises UserError for a broken file, and for overlaps of sets that must be disjoint, unless the data are the published ones.
    """
    data = _read(folder)
    overlap = settle(where, find_faults(data), find_doubts(data), published=published)
    return replace(data, origin=data.origin | ({"overlap": overlap} if overlap else {}))


def _licence(folder: Path) -> str:
    """Return the licence in the description of a data set."""
    path = folder / README
    found = re.search(r"^license: *(\S+)", path.read_text(encoding="utf-8", errors="replace"), re.M) if path.is_file() else None
    return found[1] if found else "not stated"


def _read(folder: Path) -> MuseData:
    forget = _texts(folder, "raw", "forget")
    scales = _parts(folder, SCALES, forget)
    for number, (smaller, larger) in enumerate(pairwise([forget, *scales]), start=2):
        if _ids(smaller) - _ids(larger):
            raise UserError(f"{folder / SCALES}: forget_{number} lacks texts of forget_{number - 1}, which it must contain")
    return MuseData(
        forget=forget,
        retain=_texts(folder, "raw", "retain1"),
        kept=_texts(folder, "raw", "retain2"),
        holdout=_texts(folder, "raw", "holdout"),
        verbatim=[
            Excerpt(id=f"verbatim-{i:04d}", prompt=row["prompt"], continuation=row["gt"])
            for i, row in enumerate(_items(folder, "verbmem", "forget", "prompt", "gt"))
        ],
        knowledge_forget=_pairs(folder, "forget_qa"),
        examples_forget=_pairs(folder, "forget_qa_icl"),
        knowledge_retain=_pairs(folder, "retain_qa"),
        examples_retain=_pairs(folder, "retain_qa_icl"),
        members=name_texts(row["text"] for row in _items(folder, "privleak", "forget", "text")),
        nonmembers=name_texts(row["text"] for row in _items(folder, "privleak", "holdout", "text")),
        scales=scales,
        requests=_parts(folder, REQUESTS, forget),
        origin={"licence": _licence(folder), "files": hash_files(folder)},
    )


def _texts(folder: Path, config: str, name: str) -> list[Text]:
    """Return the non-blank texts of a set."""
    texts = name_texts(row["text"] for row in read_columns(folder / config, name, ("text",)) if row["text"].strip())
    if not texts:
        raise UserError(f"{folder / config}: no text in {name}")
    return texts


def _parts(folder: Path, config: str, forget: list[Text]) -> list[list[Text]]:
    """Return the parts of a subset from the second on; raises UserError unless the first has the texts of the forget set."""
    data = (path for path in (folder / config).glob("*") if path.suffix in (".jsonl", ".json", ".parquet"))
    if unread := [path for path in data if not _PART_FILE.fullmatch(path.name)]:
        raise UserError(f"{min(unread)}: not read: parts must be forget_1 to forget_{MOST_PARTS}, in parquet or as .jsonl")
    there = [number for number, name in enumerate(PARTS, start=1) if list_files(folder / config, name)]
    if not there:
        return []
    first, *others = (_texts(folder, config, f"forget_{number}") for number in range(1, there[-1] + 1))
    if _ids(first) != _ids(forget):
        raise UserError(
            f"{folder / config}: forget_1 is not the forget set: its texts must equal those of {folder / 'raw'}, forget"
        )
    return others


def _ids(texts: list[Text]) -> set[str]:
    return {text.id for text in texts}


def _pairs(folder: Path, name: str) -> list[Pair]:
    rows = enumerate(_items(folder, "knowmem", name, "question", "answer"))
    return [Pair(id=f"{name.replace('_', '-')}-{i:04d}", question=row["question"], answer=row["answer"]) for i, row in rows]


def _items(folder: Path, config: str, name: str, *columns: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a set of questions; raises UserError for an empty set, and for a blank field, which has no score."""
    number = 0
    for number, row in enumerate(read_columns(folder / config, name, columns), start=1):
        blank = next((column for column in columns if not row[column].strip()), None)
        if blank:
            raise UserError(f"{folder / config}: {name}: row {number}: column {blank} is blank")
        yield row
    if not number:
        raise UserError(f"{folder / config}: no row in {name}")
