"""WMDP's corpora from files of our own: a folder, and a hub on this machine."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from local_hub import NOBODY, Hub, serving
from pydantic import ValidationError

from palimpsest.benchmarks.wmdp.files import SHORT
from palimpsest.benchmarks.wmdp.sources.wmdp_folder import WmdpFolderSource
from palimpsest.benchmarks.wmdp.sources.wmdp_hub import WmdpHubSource
from palimpsest.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
LONG = [f"Text {i} says something harmless at a length that is above the shortest one." for i in range(6)]
OPEN, GATED = "cais/wmdp-corpora", "cais/wmdp-bio-forget-corpus"
REVISION, GATED_REVISION = "a" * 40, "b" * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, texts in (("forget", LONG[:2]), ("retain", LONG[2:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return tmp_path


def source(folder: Path, **more: Any) -> WmdpFolderSource:
    return WmdpFolderSource(kind="wmdp-folder", path=str(folder), **more)


def test_a_folder_gives_both_corpora(folder: Path, tmp_path: Path) -> None:
    data = source(folder).read()
    assert [text.text for text in data.forget] == LONG[:2] and [text.text for text in data.retain] == LONG[2:]
    assert len({text.id for text in (*data.forget, *data.retain)}) == 6
    assert (
        data.origin["files"]
        == source(folder).hash_files()
        == {f"{name}.jsonl": hashlib.sha256((folder / f"{name}.jsonl").read_bytes()).hexdigest() for name in ("forget", "retain")}
    )
    (tmp_path / "out").mkdir()
    assert data.write(tmp_path / "out")["retain"] == 4


def test_short_and_blank_texts_are_left_out_before_texts_are_counted(folder: Path) -> None:
    rows = ["x" * SHORT, " " * 99, None, LONG[0], "y" * (SHORT + 1), LONG[1]]
    (folder / "forget.jsonl").write_text("\n".join(json.dumps({"text": text, "title": 3}) for text in rows))
    assert [text.text for text in source(folder).read().forget] == [LONG[0], "y" * 51, LONG[1]]
    capped = source(folder, max_texts=2).read()
    assert [text.text for text in capped.forget] == [LONG[0], "y" * 51] and len(capped.retain) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("forget", None, r"neither forget-00000-of-00001\.parquet nor forget\.jsonl exists; required columns: text$"),
        ("retain", '{"text": "abc"}', r"no text of more than 50 characters in retain$"),
        ("retain", '{"text": 3}', r"retain\.jsonl:1: no text in column text; required columns: text$"),
        ("retain", '{"text": "a', r"retain\.jsonl:1: not JSON: Unterminated .*, column 10; the file is truncated$"),
    ],
)
def test_a_broken_folder_is_one_line(folder: Path, name: str, content: str | None, message: str) -> None:
    (folder / f"{name}.jsonl").unlink()
    if content:
        (folder / f"{name}.jsonl").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        source(folder).read()
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no-wmdp: there is no such folder; source.path must name the folder with forget\.jsonl and"
    ):
        source(tmp_path / "no-wmdp").read()


def test_a_branch_is_no_commit() -> None:
    with pytest.raises(ValidationError, match="gated_revision"):
        WmdpHubSource(kind="wmdp-hub", subject="bio", gated_revision="main")


def write(folder: Path, name: str, texts: list[str], shards: int = 1, **more: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        table = pa.table({column: values[shard::shards] for column, values in {**more, "text": texts}.items()})
        pq.write_table(table, folder / f"{name}-{shard:05d}-of-{shards:05d}.parquet")


@pytest.fixture
def data_sets(tmp_path: Path) -> dict[str, tuple[str, Path]]:
    """Both data sets as they lie on the hub, the gated one with its other columns, and with splits that must not be read."""
    corpora, gated = tmp_path / "corpora", tmp_path / "gated"
    for config, texts in (("bio-retain", LONG[:2]), ("cyber-forget", LONG[2:3]), ("cyber-retain", LONG[3:4])):
        write(corpora / f"{config}-corpus", "train", texts, shards=len(texts))
        write(corpora / f"{config}-corpus", "test", ["A test split, which lm-eval asks about, is long enough to be a text."])
    write(gated / "data", "train", LONG[4:], shards=2, **{name: ["?", "?"] for name in ("title", "abstract", "doi")})
    return {OPEN: (REVISION, corpora), GATED: (GATED_REVISION, gated)}


FETCH = """
import sys
from palimpsest.benchmarks.wmdp.sources.wmdp_hub import WmdpHubSource
from palimpsest.errors import UserError
try:
    data = WmdpHubSource.model_validate_json(sys.argv[1]).read()
except UserError as error:
    sys.exit(str(error))
print([text.text for text in data.forget], [text.text for text in data.retain])
"""


def fetch(place: Path, endpoint: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Read the corpora of a hub in a process of its own, since the hub's address is read on import."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment |= {"HF_HOME": str(place / "hf"), "HF_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT / "src")}
    environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    asked = WmdpHubSource(kind="wmdp-hub", revision=REVISION, **settings).model_dump_json()
    command = [sys.executable, "-c", FETCH, asked]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"subject": "cyber"}, (LONG[2:3], LONG[3:4])),
        ({"subject": "bio", "gated_revision": GATED_REVISION}, (LONG[4:], LONG[:2])),
    ],
)
def test_the_corpora_of_a_subject_are_fetched_once(
    data_sets: dict[str, tuple[str, Path]], settings: dict[str, str], texts: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    with serving(Hub(data_sets)) as hub:
        done = fetch(tmp_path, hub.url, **settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{texts[0]} {texts[1]}\n"
    assert not [name for name in hub.fetched if "test" in name]
    assert fetch(tmp_path, NOBODY, **settings).stdout == done.stdout
    # A cache that lacks a shard is no cache.
    next((tmp_path / "hf").rglob("train-00000-of-*.parquet")).unlink()
    assert "not in the cache, and the Hub cannot be reached" in fetch(tmp_path, NOBODY, **settings).stderr


def test_who_has_no_access_is_told_which_page_grants_it(tmp_path: Path) -> None:
    with serving(Hub({}, (403, "GatedRepo"))) as hub:
        done = fetch(tmp_path, hub.url, subject="bio", gated_revision=GATED_REVISION)
    assert done.returncode == 1
    said = f"{GATED} at {GATED_REVISION}: gated; request access at {hub.url}/datasets/{GATED} and log in with `hf auth login`\n"
    assert done.stderr == said
