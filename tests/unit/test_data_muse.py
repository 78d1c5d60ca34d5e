"""MUSE's corpora from files of our own, laid out as its data sets on the hub are."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from local_hub import NOBODY, Hub, serving

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.benchmarks.muse.sources.muse_folder import MuseFolderSource
from palimpsest.benchmarks.muse.sources.muse_hub import MuseHubSource
from palimpsest.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = MuseHubSource(kind="muse-hub", repo="org/MUSE-Ours", revision="5" * 40)
NEWS = {f"forget_{part}": [f"News {part}.{i}, café.\u2028More." for i in range(3)] for part in range(1, 5)}
PAIRS = ("forget_qa", "forget_qa_icl", "retain_qa", "retain_qa_icl")


def write(folder: Path, config: str, name: str, columns: dict[str, list[str | None]], shards: int = 1) -> None:
    """Write a set as `push_to_hub` does."""
    (folder / config).mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        part = {column: values[shard::shards] for column, values in columns.items()}
        pq.write_table(pa.table(part), folder / config / f"{name}-{shard:05d}-of-{shards:05d}.parquet")


def make(folder: Path, *, parts: bool) -> Path:
    """Write a corpus: with parts as MUSE-News has them, or without as MUSE-Books."""
    write(folder, "raw", "forget", {"text": NEWS["forget_1"]})
    for name, count in (("retain1", 4), ("retain2", 5), ("holdout", 2)):
        write(folder, "raw", name, {"text": [f"Of {name}, {i}." for i in range(count)]})
    write(folder, "verbmem", "forget", {"prompt": ["Once"], "gt": [" upon a time"]})
    for name in PAIRS:
        write(folder, "knowmem", name, {"question": [f"Who in {name}?", f"What in {name}?"], "answer": ["He", "That"]})
    write(folder, "privleak", "forget", {"text": NEWS["forget_1"][:2]})
    write(folder, "privleak", "holdout", {"text": ["Of holdout, 0.", "Of holdout, 1."]})
    described = ["---", "license: cc-by-4.0", "configs:", *(f"  path: {config}/forget-*" for config in ("raw", "privleak"))]
    for name in NEWS if parts else ():
        described += [f"  path: {config}/{name}-*" for config in ("scal", "sust")]
        write(folder, "sust", name, {"text": NEWS[name]})
        # In another order, as nothing says that it is the same.
        write(folder, "scal", name, {"text": [text for part, texts in NEWS.items() if part <= name for text in texts][::-1]})
    (folder / "README.md").write_text("\n".join([*described, "---"]), encoding="utf-8")
    return folder


@pytest.fixture
def news(tmp_path: Path) -> Path:
    return make(tmp_path / "news", parts=True)


def read(folder: Path) -> MuseData:
    return MuseFolderSource(kind="muse-folder", path=str(folder)).read()


def test_every_set_has_its_part(news: Path, tmp_path: Path) -> None:
    data = read(news)
    assert [text.text for text in data.forget] == NEWS["forget_1"]
    assert [len(part) for part in (data.retain, data.kept, data.holdout)] == [4, 5, 2]
    assert data.retain[0].text == "Of retain1, 0." and data.kept[0].text == "Of retain2, 0."
    assert [len(part) for part in data.scales] == [6, 9, 12]
    assert [[text.text for text in part] for part in data.requests] == [NEWS[f"forget_{part}"] for part in (2, 3, 4)]
    assert (data.verbatim[0].prompt, data.verbatim[0].continuation) == ("Once", " upon a time")
    assert [data.knowledge_forget[0].question, data.examples_forget[0].question] == ["Who in forget_qa?", "Who in forget_qa_icl?"]
    assert [data.knowledge_retain[0].question, data.examples_retain[0].question] == ["Who in retain_qa?", "Who in retain_qa_icl?"]
    assert [text.text for text in data.members] == NEWS["forget_1"][:2]
    assert [text.text for text in data.nonmembers] == ["Of holdout, 0.", "Of holdout, 1."]
    assert data.origin["licence"] == "cc-by-4.0"
    (tmp_path / "out").mkdir()
    counts = data.write(tmp_path / "out")
    # Every text of the four parts once, though it is in several sets.
    assert (counts["original"], counts["retrain"], counts["scale4"], counts["request4"]) == (9 + 12, 9, 12, 3)


def test_a_text_has_one_id_wherever_it_is(news: Path) -> None:
    data = read(news)
    ids = {text.text: text.id for text in data.scales[-1]}
    for part in (data.forget, *data.scales, *data.requests, data.members):
        assert all(ids[text.text] == text.id for text in part)
    assert len(set(ids.values())) == 12


def test_a_text_that_a_set_has_twice_is_two_items(news: Path) -> None:
    write(news, "raw", "holdout", {"text": ["Twice.", "Once.", "Twice."]})
    first, once, second = (text.id for text in read(news).holdout)
    assert second == f"{first}-2" and once != first


def test_books_have_no_parts_and_blank_texts_are_left_out(tmp_path: Path) -> None:
    folder = make(tmp_path, parts=False)
    write(folder, "raw", "retain2", {"text": ["A long book. " * 1000, " \n", None]})
    data = read(folder)
    assert (data.scales, data.requests) == ([], [])
    assert [len(text.text) for text in data.kept] == [13000]


def test_shards_are_one_set_and_lines_serve_too(news: Path) -> None:
    whole = read(news)
    (news / "raw" / "retain1-00000-of-00001.parquet").unlink()
    write(news, "raw", "retain1", {"text": [f"Of retain1, {i}." for i in (0, 2, 1, 3)]}, shards=2)
    (news / "raw" / "retain2-00000-of-00001.parquet").unlink()
    (news / "raw" / "retain2.jsonl").write_text("".join(json.dumps({"text": text.text}) + "\n" for text in whole.kept))
    data = read(news)
    assert [text.text for text in data.retain] == [f"Of retain1, {i}." for i in (0, 1, 2, 3)]
    assert data.kept == whole.kept


def test_every_file_that_is_read_is_hashed(news: Path) -> None:
    (news / "train").mkdir()
    write(news, "train", "forget", {"text": ["read by nobody"]})
    hashes = MuseFolderSource(kind="muse-folder", path=str(news)).hash_files()
    assert hashes == {
        path.relative_to(news).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in news.rglob("*.parquet")
        if path.parent.name != "train"
    }
    assert read(news).origin["files"] == hashes and len(hashes) == 4 + 1 + 4 + 2 + 8


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no-muse: there is no such folder; source.path must name a folder that contains raw, verbmem"
    ):
        read(tmp_path / "no-muse")


@pytest.mark.parametrize("name", ["forget_10.jsonl", "forget-2.jsonl", "forget_2.json", "forget2-00000-of-00001.parquet"])
@pytest.mark.parametrize("config", ["scal", "sust"])
def test_a_part_under_a_name_that_is_not_read_is_told(news: Path, config: str, name: str) -> None:
    (news / config / name).write_text('{"text": "read by nobody"}\n')
    with pytest.raises(UserError, match=rf"{config}/{name}: not read: parts must be forget_1 to forget_9, in "):
        read(news)


def broken_cases() -> Iterator[tuple[str, str, str]]:
    for config, columns in (("raw", "text"), ("verbmem", "prompt, gt"), ("privleak", "text")):
        name = "forget-00000-of-00001.parquet"
        path = f"{config}/{name}"
        yield path, "gone", rf"{config}: neither {name} nor forget\.jsonl exists; required columns: {columns}$"
        yield path, "cut", rf"{path}: not a readable parquet file: "
    for name in PAIRS:
        file = f"{name}-00000-of-00001.parquet"
        said = rf"knowmem: neither {file} nor {name}\.jsonl exists; required columns: question, answer$"
        yield f"knowmem/{file}", "gone", said
    for config, part in (("scal", 1), ("sust", 3)):
        file = f"forget_{part}-00000-of-00001.parquet"
        yield f"{config}/{file}", "gone", rf"{config}: neither {file} nor forget_{part}\.jsonl exists"


@pytest.mark.parametrize(("path", "fault", "message"), list(broken_cases()))
def test_a_file_that_is_missing_or_cut_is_named(news: Path, path: str, fault: str, message: str) -> None:
    content = (news / path).read_bytes()
    (news / path).unlink()
    if fault == "cut":
        (news / path).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=message) as caught:
        read(news)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "name", "columns", "message"),
    [
        ("raw", "retain1", {"content": ["x"]}, r"retain1-.*: no column text, only content; required columns: text$"),
        ("raw", "retain1", {"text": [3]}, r"retain1-.*parquet:1: no text in column text; required columns: text$"),
        ("raw", "retain1", {"text": [" "]}, r"raw: no text in retain1$"),
        ("verbmem", "forget", {"prompt": ["Once"]}, r"no column gt, only prompt; required columns: prompt, gt$"),
        ("knowmem", "forget_qa", {"question": ["Who?"], "answer": [" "]}, r"knowmem: forget_qa: row 1: column answer is blank$"),
        ("privleak", "holdout", {"text": ["a", None]}, r"privleak: holdout: row 2: column text is blank$"),
        ("privleak", "holdout", {"text": pa.array([], pa.string())}, r"privleak: no row in holdout$"),
        (
            "scal",
            "forget_1",
            {"text": ["other"]},
            r"scal: forget_1 is not the forget set: its texts must equal those of .*raw, forget$",
        ),
        ("sust", "forget_1", {"text": NEWS["forget_1"] * 2}, r"sust: forget_1 is not the forget set"),
        ("scal", "forget_3", {"text": NEWS["forget_1"]}, r"scal: forget_3 lacks texts of forget_2, which it must contain$"),
    ],
)
def test_other_contents_are_one_line(news: Path, config: str, name: str, columns: dict, message: str) -> None:
    write(news, config, name, columns)
    with pytest.raises(UserError, match=message) as caught:
        read(news)
    assert "\n" not in str(caught.value)


def test_a_missing_shard_is_named(news: Path) -> None:
    write(news, "raw", "forget", {"text": NEWS["forget_1"]}, shards=3)
    (news / "raw" / "forget-00000-of-00001.parquet").unlink()
    (news / "raw" / "forget-00001-of-00003.parquet").unlink()
    with pytest.raises(UserError, match=r"forget-00001-of-00003\.parquet: missing, although other files of forget exist$"):
        read(news)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a"}\n{"text": "b', r"retain2\.jsonl:2: not JSON: Unterminated .*, column 10; the file is truncated$"),
        (b'["a"]\n', r"retain2\.jsonl:1: not a JSON object; each line must be one$"),
        (b'{"txt": "a"}\n', r"retain2\.jsonl:1: no text in column text; required columns: text$"),
        (b'{"text": "\xff"}\n', r"retain2\.jsonl:1: byte 11 of the line is not UTF-8$"),
    ],
)
def test_broken_lines_are_named(news: Path, content: bytes, message: str) -> None:
    (news / "raw" / "retain2-00000-of-00001.parquet").unlink()
    (news / "raw" / "retain2.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(news)
    assert "\n" not in str(caught.value)


FETCH = """
import sys
from pathlib import Path
from palimpsest.benchmarks.muse.sources.muse_hub import MuseHubSource
from palimpsest.errors import UserError
try:
    data = MuseHubSource.model_validate_json(sys.argv[1]).read()
except UserError as error:
    sys.exit(str(error))
Path("out").mkdir(exist_ok=True)
data.write(Path("out"))
print(data.origin["repo"], data.origin["revision"], data.origin["licence"])
"""


def fetch(place: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    """Read the data set of a hub in a process of its own, since the hub's address is read on import."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment |= {"HF_HOME": str(place / "hf"), "HF_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT / "src")}
    environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", FETCH, SOURCE.model_dump_json()]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_corpus_is_fetched_once_and_a_cache_that_lost_files_is_completed(news: Path, tmp_path: Path) -> None:
    write(news, "train", "forget", {"text": ["read by nobody"]})
    with serving(Hub({SOURCE.repo: (SOURCE.revision, news)})) as hub:
        done = fetch(tmp_path, hub.url)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{SOURCE.repo} {SOURCE.revision} cc-by-4.0\n"
        assert hub.fetched == {"README.md", *MuseFolderSource(kind="muse-folder", path=str(news)).hash_files()}
        first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert (len(first), fetch(tmp_path, NOBODY).returncode) == (18, 0)
        # As an interrupted download leaves it: all that a corpus must have is there, and no part.
        for lost in ("scal/*.parquet", "knowmem/*.parquet"):
            for path in (tmp_path / "hf").rglob(lost):
                path.unlink()
            alone = fetch(tmp_path, NOBODY)
            assert alone.returncode == 1 and alone.stderr.count("\n") == 1
            assert f"{SOURCE.repo} at {SOURCE.revision}: not in the cache, and the Hub cannot be reached" in alone.stderr
            assert fetch(tmp_path, hub.url).returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == first
