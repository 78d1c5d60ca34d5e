"""WMDP's corpora (Li et al. 2024, arXiv 2403.03218), from the hub or from a folder.

Both come from the corpora made for training: the official code retains on the test split of wikitext, which lm-eval may
ask about, and that is not done here. Its rule on short texts is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from palimpsest.data.columns import hash_sets, missing_file, name_texts, read_columns
from palimpsest.data.overlap import settle, wmdp_doubts, wmdp_faults
from palimpsest.data.rows import Text
from palimpsest.data.settings import WmdpFolderSource, WmdpHubSource
from palimpsest.data.texts import WmdpData
from palimpsest.errors import UserError

FORGET, RETAIN, TRAIN = "forget", "retain", "train"
# Where the gated data set has its files.
GATED = "data"
# Texts of so many characters or fewer are dropped, as in the official code.
SHORT = 50


def read_wmdp_hub(source: WmdpHubSource) -> WmdpData:
    """Return the two corpora of a subject; raises UserError for a hub that cannot give them, or may not."""
    retain, forget = f"{source.subject}-retain-corpus", f"{source.subject}-forget-corpus"
    origin: dict[str, str | None] = {"licence": "MIT", "repo": source.repo, "revision": source.revision}
    if source.subject == "bio":
        # First, because it may be refused, and the open corpus is large.
        forget_folder = _fetch_gated(source)
        folder = _fetch(source.repo, source.revision, retain)
        origin |= {"licence": "MIT; of the gated corpus not stated", "gated_repo": source.gated_repo}
        origin |= {"gated_revision": source.gated_revision}
    else:
        folder = _fetch(source.repo, source.revision, retain, forget)
        forget_folder = folder / forget
    data = WmdpData(
        forget=_read(forget_folder, TRAIN, source.max_texts),
        retain=_read(folder / retain, TRAIN, source.max_texts),
        origin=origin,
    )
    return _compared(data, source.repo, published=True)


def read_wmdp_folder(source: WmdpFolderSource) -> WmdpData:
    """Return the two corpora of a folder; raises UserError for a missing folder or a broken file."""
    folder = Path(source.path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such data folder; source.path names the folder of {FORGET}.jsonl and {RETAIN}.jsonl")
    data = WmdpData(
        forget=_read(folder, FORGET, source.max_texts),
        retain=_read(folder, RETAIN, source.max_texts),
        origin={"licence": "not stated", "files": hash_files(source)},
    )
    return _compared(data, source.path, published=False)


def hash_files(source: WmdpFolderSource) -> dict[str, str]:
    """Return the sha256 of each file that is read, as far as they are there."""
    return hash_sets(Path(source.path), [("", FORGET), ("", RETAIN)])


def _compared(data: WmdpData, where: str, *, published: bool) -> WmdpData:
    """Return the corpora with the counts of what they share; raises UserError for what they must not share."""
    overlap = settle(where, wmdp_faults(data), wmdp_doubts(data), published=published)
    return replace(data, origin=data.origin | ({"overlap": overlap} if overlap else {}))


def _fetch_gated(source: WmdpHubSource) -> Path:
    from palimpsest.hub import page

    if source.gated_revision is None:
        raise UserError(
            f"source.gated_revision: {source.gated_repo} is gated: ask for access at {page(source.gated_repo, 'dataset')}, "
            "set this key to the commit shown there, and log in with `hf auth login`"
        )
    return _fetch(source.gated_repo, source.gated_revision, GATED) / GATED


def _fetch(repo: str, revision: str, *configs: str) -> Path:
    # Here, because a local folder is hashed whenever the workflow is read, and this import takes its time.
    from palimpsest.hub import fetch_snapshot

    def whole(folder: Path) -> bool:
        return not any(missing_file(folder / config, TRAIN) for config in configs)

    return fetch_snapshot(repo, revision, "dataset", [f"{config}/{TRAIN}-*.parquet" for config in configs], whole=whole)


def _read(folder: Path, name: str, most: int | None) -> list[Text]:
    def long_enough() -> Iterator[str]:
        for row in read_columns(folder, name, ("text",)):
            if len(row["text"]) > SHORT and row["text"].strip():
                yield row["text"]

    texts = name_texts(islice(long_enough(), most))
    if not texts:
        raise UserError(f"{folder}: no text of more than {SHORT} characters in {name}")
    return texts
