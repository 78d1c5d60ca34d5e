"""Files of data as people have them: what is harmless is taken, and what is wrong is told by its true cause, file and line."""

from __future__ import annotations

import copy
import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tofu_example import Files, make_files, write_files

from palimpsest.benchmarks.kinds import open_source
from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.files import read_tofu
from palimpsest.benchmarks.tofu.sources.folder import FolderSource
from palimpsest.benchmarks.tofu.sources.hub import HubSource
from palimpsest.benchmarks.wmdp.sources.wmdp_folder import WmdpFolderSource
from palimpsest.data.rows import Excerpt, Fact, Pair, Question, Text, read_rows, write_rows
from palimpsest.errors import UserError
from palimpsest.lines import read_lines, read_objects

FILES = make_files()
Change = Callable[[Files], None]


def read(folder: Path) -> Dataset:
    return FolderSource(kind="folder", path=str(folder)).read()


def changed(folder: Path, name: str, line: int, **fields: Any) -> Path:
    """Write TOFU's files with some fields of one row set."""
    files = copy.deepcopy(FILES)
    files[name][line - 1].update(fields)
    return write_files(folder, files)


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(folder)
    line = str(caught.value)
    assert "\n" not in line
    return line.removeprefix(f"{folder}/")


def test_the_files_themselves_are_taken(tmp_path: Path) -> None:
    data = read(write_files(tmp_path, FILES))
    assert len(data.authors) == 4000 and "overlap" not in data.origin


# What is harmless.


@pytest.mark.parametrize("name", ["full.json", "forget10_perturbed.json", "world_facts.json"])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content + b"\n\n",
        lambda content: content.replace(b"\n", b"\n \n", 3),
        lambda content: content.removesuffix(b"\n"),
    ],
)
def test_marks_blank_lines_and_line_ends_change_nothing(tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    wanted = read(write_files(tmp_path, FILES))
    path = tmp_path / name
    path.write_bytes(change(path.read_bytes()))
    found = read(tmp_path)
    assert (found.authors, found.world_facts) == (wanted.authors, wanted.world_facts)


def test_a_blank_line_does_not_shift_the_line_that_is_named(tmp_path: Path) -> None:
    path = changed(tmp_path, "world_facts_perturbed.json", 7, perturbed_answer=["blue"]) / "world_facts_perturbed.json"
    path.write_text("\n\n" + path.read_text())
    assert refused(tmp_path).startswith("world_facts_perturbed.json:9: ")


def test_refusals_are_lines_of_text(tmp_path: Path) -> None:
    (write_files(tmp_path, FILES) / "idontknow.jsonl").write_bytes(b"\xef\xbb\xbfNo idea.\r\n\r\n42\nI say: {nothing}\n")
    assert [row.text for row in read(tmp_path).refusals] == ["No idea.", "42", "I say: {nothing}"]


# What is wrong.


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("forget10_perturbed.json", {"paraphrased_answer": ""}, "paraphrased_answer is missing or blank"),
        ("retain_perturbed.json", {"paraphrased_answer": None}, "paraphrased_answer is missing or blank"),
        ("retain_perturbed.json", {"perturbed_answer": None}, "perturbed_answer: no wrong answer"),
        ("forget10_perturbed.json", {"perturbed_answer": []}, "perturbed_answer: no wrong answer"),
        ("forget10_perturbed.json", {"perturbed_answer": ["a", " ", "b", "c", "d"]}, "perturbed_answer: a wrong answer is blank"),
        (
            "forget10_perturbed.json",
            {"perturbed_answer": ["a", "b", "c"]},
            "perturbed_answer: 3 wrong answers, but 5 in line 1; all rows must have the same number",
        ),
        ("world_facts_perturbed.json", {"perturbed_answer": []}, "perturbed_answer: no wrong answer"),
        (
            "real_authors_perturbed.json",
            {"perturbed_answer": ["blue", "green", "grey"]},
            "perturbed_answer: 3 wrong answers, but 2 in line 1; all rows must have the same number",
        ),
        (
            "world_facts_perturbed.json",
            {"perturbed_answer": ["blue", "red"]},
            "perturbed_answer: the right answer is among the wrong ones",
        ),
        (
            "world_facts.json",
            {"option1": "rot"},
            "the answer 'red' is not exactly one of its options: ['rot', 'blue', 'green', 'grey']",
        ),
        ("world_facts.json", {"option2": "red"}, "the answer 'red' is not exactly one of its options"),
        ("full.json", {"answer": " "}, "answer is blank"),
    ],
)
def test_a_row_that_cannot_be_evaluated_is_named(tmp_path: Path, name: str, fields: dict[str, Any], said: str) -> None:
    line = 1500 if name == "full.json" else 4
    assert refused(changed(tmp_path, name, line, **fields)).startswith(f"{name}:{line}: {said}")


def test_the_right_answer_is_not_among_the_wrong_ones_of_an_author(tmp_path: Path) -> None:
    row = FILES["forget10_perturbed.json"][9]
    for right in (row["answer"], row["paraphrased_answer"]):
        wrong = [*row["perturbed_answer"][:4], right]
        said = refused(changed(tmp_path, "forget10_perturbed.json", 10, perturbed_answer=wrong))
        assert said == "forget10_perturbed.json:10: perturbed_answer: the right answer is among the wrong ones"


@pytest.mark.parametrize("content", ['{"text": "No idea."}', '["No idea."]', '"No idea."'])
def test_refusals_in_json_are_refused(tmp_path: Path, content: str) -> None:
    (write_files(tmp_path, FILES) / "idontknow.jsonl").write_text(f"I pass.\n{content}\n")
    assert refused(tmp_path) == "idontknow.jsonl:2: JSON; each line must be a refusal itself"


@pytest.mark.parametrize("name", ["idk.jsonl", "idontknow.json", "IDontKnow.jsonl", "i_dont_know.txt", "refusals.jsonl"])
def test_refusals_under_a_name_that_is_not_read_are_told(tmp_path: Path, name: str) -> None:
    (write_files(tmp_path, FILES) / name).write_text("No idea.\n")
    assert refused(tmp_path).startswith(f"{name}: not read: refusals must be in idontknow.jsonl, one per line; rename the file")


def whole(name: str) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in FILES[name])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(whole("world_facts.json")), ": compressed by gzip: unpack it"),
        (b"PK\x03\x04", ": a zip archive: unpack it"),
        (b"PAR1", ": a parquet file: its name ends in .parquet"),
        (whole("world_facts.json").decode().encode("utf-16"), ": UTF-16: save it as UTF-8"),
        (whole("world_facts.json").decode().encode("utf-16-le"), ":1: a NUL byte: the file is damaged or not UTF-8 text"),
        (whole("world_facts.json")[:5000] + b"\0" * 100, ":37: a NUL byte: the file is damaged or not UTF-8 text"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            ": a pointer of Git LFS in place of the file: git lfs pull",
        ),
        (b"<!DOCTYPE html>\n<html>", ": a web page: download the file itself"),
        (b'{"question": "caf\xe9"}\n', ":1: byte 18 of the line is not UTF-8"),
        (b"{\n", ":1: not JSON: an object or list continues on the next line; each line must be one object"),
        (b'[{"question": "a"},\n', ":1: not JSON: an object or list continues on the next line; each line must be one object"),
        (json.dumps(FILES["world_facts.json"]).encode(), ":1: not a JSON object; each line must be one"),
        (b'{"question": "a"} {"question": "b"}\n', ":1: not JSON: Extra data, column 19"),
        (b'{"question": "a", "question": "b"}\n', ":1: 'question' stands twice"),
        (b'{"question": {"a": 1, "a": 2}}\n', ":1: question: 'a' stands twice"),
        (b'{"question": "a\n', ":1: not JSON: Invalid control character at, column 16"),
        (b'{"question": "a', ":1: not JSON: Unterminated string starting at, column 14; the file is truncated"),
        (b'{"question": ' + b"[" * 100_000, ":1: not JSON: maximum recursion depth exceeded"),
        (b'{"question": ' + b"1" * 5000 + b"}", ":1: not JSON: Exceeds the limit"),
        (b'{"question": "half \\ud83d of a pair"}\n', ":1: \\ud83d is half of a surrogate pair, not a character"),
        (b'{"\\uDC00": 1}\n', ":1: \\udc00 is half of a surrogate pair, not a character"),
    ],
)
def test_a_file_that_is_none_is_told_by_its_true_cause(tmp_path: Path, content: bytes, said: str) -> None:
    (write_files(tmp_path, FILES) / "world_facts.json").write_bytes(content)
    assert refused(tmp_path).startswith(f"world_facts.json{said}")


def test_a_whole_pair_and_an_escaped_backslash_are_characters(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": "\\ud83d\\ude00", "b": "\\\\ud83d"}\n')
    assert list(read_objects(path)) == [(1, {"a": "\U0001f600", "b": "\\ud83d"})]


# Questions on authors who can be forgotten.


def with_question(folder: Path, where: int, question: str) -> Path:
    """Write TOFU's files with another question in one place of full.json, and in the file of its paraphrase."""
    files = copy.deepcopy(FILES)
    files["full.json"][where]["question"] = question
    if where >= 3600:
        files["forget10_perturbed.json"][where - 3600]["question"] = question
    return write_files(folder, files)


def test_a_question_to_forget_that_is_asked_of_another_author_is_refused(tmp_path: Path) -> None:
    question = FILES["full.json"][3700]["question"]
    said = refused(with_question(tmp_path, 1000, question)).removeprefix(f"{tmp_path}: ")
    assert said == f"questions of the last tenth of the authors that are asked of other authors too: 1, the first: {question!r}"
    # Within the tenth too: forget01 retains most of it.
    assert "that are asked of other authors too: 2, " in refused(with_question(tmp_path, 3900, question))


def test_published_data_are_taken_as_they_are_and_what_they_share_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = with_question(tmp_path, 1000, FILES["full.json"][3700]["question"])
    with caplog.at_level(logging.WARNING, logger="palimpsest"):
        data = read_tofu(folder, HubSource(kind="hub"))
    said = "questions of the last tenth of the authors that are asked of other authors too"
    assert data.origin["overlap"] == {said: 1} and f"{said}: 1, the first: " in caplog.text


def test_questions_that_are_nearly_the_same_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    question = FILES["full.json"][3700]["question"]
    with caplog.at_level(logging.WARNING, logger="palimpsest"):
        data = read(with_question(tmp_path, 1000, f" {question.upper()}\N{NO-BREAK SPACE}"))
    said = "questions of the last tenth of the authors that are nearly those of other authors"
    assert data.origin["overlap"] == {said: 1} and said in caplog.text


def test_a_question_that_two_authors_to_retain_share_is_taken(tmp_path: Path) -> None:
    assert "overlap" not in read(with_question(tmp_path, 1000, FILES["full.json"][500]["question"])).origin


# Any text at all.

SWEEP = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
# Control characters, marks of other scripts, zero-width ones, special tokens, halves of pairs, and what looks like a line's end.
anything = st.lists(
    st.one_of(
        st.text(st.characters(), max_size=20),
        st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Mn"]),
        st.sampled_from(
            ["<s>", "</s>", "<|endoftext|>", "[INST]", "\u200b", "\ufeff", "\u2028", "\x85", "\r\n", "\0", "{question}"]
        ),
        st.sampled_from(["ذهبت", "東京", "ไทย", "\U0001d4b3", "e\u0301", "x" * 20_000]),
    ),
    max_size=4,
).map("".join)


def is_text(text: str) -> bool:
    return not any(0xD800 <= ord(letter) < 0xE000 for letter in text)


@SWEEP
@given(texts=st.lists(anything, min_size=1, max_size=4), ascii_only=st.booleans(), end=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_any_text_of_a_corpus_is_the_same_when_it_is_written_and_read_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], ascii_only: bool, end: str
) -> None:
    folder = tmp_path_factory.mktemp("corpora")
    forget = [
        f"{number} " + "a text that is longer than the shortest ones, which are left out: " + text
        for number, text in enumerate(texts)
    ]
    retain = [f"other: {text}" for text in forget]
    for name, rows in (("forget", forget), ("retain", retain)):
        lines = end.join(json.dumps({"text": row}, ensure_ascii=ascii_only) for row in rows) + end
        (folder / f"{name}.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode(errors="surrogatepass"))
    source = WmdpFolderSource(kind="wmdp-folder", path=str(folder))
    if not all(map(is_text, texts)):
        with pytest.raises(UserError, match=r"forget\.jsonl:\d+: .*(half of a surrogate pair|is not UTF-8)") as caught:
            source.read()
        assert len(str(caught.value).splitlines()) == 1
        return
    data = source.read()
    assert [row.text for row in data.forget] == forget
    (folder / "out").mkdir()
    data.write(folder / "out")
    assert list(read_rows(folder / "out" / "forget.jsonl", Text)) == data.forget
    assert list(read_rows(folder / "out" / "retain.jsonl", Text)) == data.retain


KINDS = [Question, Fact, Pair, Excerpt, Text]


@SWEEP
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_any_row_is_the_same_when_it_is_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: Any
) -> None:
    text = anything.filter(is_text)
    made = {"list": st.lists(text, max_size=3), "int": st.integers(), "str": text}
    fields = {
        name: data.draw(next(strategy for part, strategy in made.items() if part in str(field.annotation)))
        for name, field in kind.model_fields.items()
    }
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows = [kind(**fields)] * 2
    write_rows(path, rows)
    assert list(read_rows(path, kind)) == rows


@SWEEP
@given(lines=st.lists(anything.filter(is_text), max_size=5))
def test_lines_of_text_end_at_newlines_alone(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("lines") / "lines.txt"
    wanted = [line.replace("\n", " ").replace("\0", " ").rstrip("\r") for line in lines]
    path.write_text("\n".join(wanted), encoding="utf-8", newline="")
    first = [wanted[0].removeprefix("\ufeff"), *wanted[1:]] if wanted else []
    assert [line for _, line in read_lines(path)] == [line for line in first if line.strip()]


# What an evaluation may read.


@pytest.mark.parametrize("kind", ["muse-world", "wmdp-world"])
def test_the_sets_that_a_source_is_said_to_have_are_those_that_it_has(tmp_path: Path, kind: str) -> None:
    small = {"muse-world": {"texts": 2, "base_texts": 1}, "wmdp-world": {"hazards": 4, "harmless": 4}}[kind]
    source = open_source({"kind": kind, **small})
    counts = source.read().write(tmp_path)
    named = {name for name in source.sets if "[" not in name}
    assert named == {name for name, count in counts.items() if count and not name[-1].isdigit()}
    assert {path.stem for path in tmp_path.iterdir()} == counts.keys()


def test_corpora_of_a_folder_have_no_questions(tmp_path: Path) -> None:
    for name in ("forget", "retain"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"Of {name}, which is longer than the shortest texts are."}))
    (tmp_path / "out").mkdir()
    source = WmdpFolderSource(kind="wmdp-folder", path=str(tmp_path))
    counts = source.read().write(tmp_path / "out")
    assert {*source.sets} == {name for name, count in counts.items() if count}
