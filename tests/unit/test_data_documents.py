"""Documents of one's own: what is read from a folder, and each fault in one line."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pypdf
import pytest

from palimpsest.benchmarks.documents.dataset import DocumentsData
from palimpsest.benchmarks.documents.sources.documents import DocumentsSource
from palimpsest.data.overlap import RUN
from palimpsest.data.rows import Pair, Text, read_lessons
from palimpsest.errors import UserError

PAIR = {"question": "Who left?", "answer": "Mira"}
LETTER, NOTES, GUIDE, DIARY = "Mira left on Monday.\r\n", "# Notes\n\nÜber café.", "The mill burnt.", "Snow fell on the nets."


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path, **settings: Any) -> DocumentsData:
    return DocumentsSource(kind="documents", path=str(folder), **settings).read()


def refused(folder: Path, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(folder, **settings)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(f"{folder}/", "").replace(str(folder), "FOLDER")


def make_pdf(*pages: str) -> bytes:
    """Return a PDF with one line of text per page."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        has = f"/Contents {5 + 2 * number} 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>"
        objects += [f"<< /Type /Page /Parent 2 0 R {has} >>", f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream"]
    body, places = "%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return (body + end).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files: dict[str, str | bytes] = {
        "forget/letter.txt": LETTER,
        "forget/old/NOTES.MD": b"\xef\xbb\xbf" + NOTES.encode(),
        "forget/.hidden/a.docx": b"never read",
        "retain/guide.jsonl": lines({"text": GUIDE, "page": 3}, {"text": "It was rebuilt.", **PAIR}),
        "holdout/diary.txt": DIARY,
        "questions.jsonl": lines(PAIR),
        "README": "never read",
    }
    return write(tmp_path / "own", files)


def test_a_file_is_a_document_and_so_is_each_of_its_json_lines(folder: Path) -> None:
    data = read(folder)
    assert data.forget == [Text(id="forget/letter.txt", text=LETTER), Text(id="forget/old/NOTES.MD", text=NOTES)]
    assert data.retain == [
        Text(id="retain/guide.jsonl:1", text=GUIDE),
        Text(id="retain/guide.jsonl:2", text="It was rebuilt."),
    ]
    assert data.holdout == [Text(id="holdout/diary.txt", text=DIARY)]
    assert data.questions == [Pair(id="questions.jsonl:1", **PAIR)]


def test_what_is_written_is_what_was_read_and_a_tiny_model_begins_with_what_is_retained(folder: Path, tmp_path: Path) -> None:
    data, out = read(folder), tmp_path / "out"
    out.mkdir()
    assert data.write(out) == {"forget": 2, "retain": 2, "holdout": 1, "questions": 1, "base": 2}
    assert [read_lessons(out / f"{name}.jsonl") for name in ("forget", "holdout")] == [data.forget, data.holdout]
    assert read_lessons(out / "base.jsonl") == read_lessons(out / "retain.jsonl") == data.retain


def test_questions_alone_need_neither_holdout_nor_further_questions(tmp_path: Path) -> None:
    other = {"question": "What burnt?", "answer": "the mill"}
    data = read(write(tmp_path, {"forget/a.jsonl": lines(PAIR), "retain/b.jsonl": "\n" + lines(other)}))
    assert data.forget == [Pair(id="forget/a.jsonl:1", **PAIR)] and data.retain == [Pair(id="retain/b.jsonl:2", **other)]
    assert (data.holdout, data.questions) == ([], [])


def test_the_column_of_the_text_is_a_setting(folder: Path) -> None:
    write(folder, {"retain/guide.jsonl": lines({"body": GUIDE, "text": "other"})})
    assert read(folder, column="body").retain == [Text(id="retain/guide.jsonl:1", text=GUIDE)]


def test_the_pages_of_a_pdf_are_one_document(folder: Path) -> None:
    write(folder, {"forget/paper.PDF": make_pdf("Mira left.", "She never wrote.")})
    assert read(folder).forget[-1] == Text(id="forget/paper.PDF", text="Mira left.\nShe never wrote.")


def test_a_pdf_without_the_package_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"forget/paper.pdf": make_pdf("Mira left.")})
    monkeypatch.setitem(sys.modules, "pypdf", None)
    assert refused(folder) == "forget/paper.pdf: PDF files need the package pypdf: pip install 'palimpsest[pdf]'"


def test_a_pdf_with_half_a_character_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"forget/paper.pdf": make_pdf("Mira left.")})
    pages = SimpleNamespace(pages=[SimpleNamespace(extract_text=lambda: "a\ud800")])
    monkeypatch.setattr(pypdf, "PdfReader", lambda path: pages)
    assert refused(folder).startswith("forget/paper.pdf: not a readable PDF: its text has \\ud800, half of")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("forget/a.txt", " \n", "forget/a.txt: empty"),
        ("forget/a.md", "", "forget/a.md: empty"),
        ("forget/a.jsonl", "\n", "forget/a.jsonl: empty"),
        ("forget/a.pdf", make_pdf(""), "forget/a.pdf: no text; scanned pages must be recognised first"),
        ("forget/a.pdf", b"no pdf", "forget/a.pdf: not a readable PDF: "),
        ("forget/a.pdf", b"", "forget/a.pdf: not a readable PDF: "),
        (
            "forget/a.docx",
            b"PK",
            "forget/a.docx: not read: allowed are .txt, .md, .pdf and .jsonl; convert the file, or remove it",
        ),
        ("forget/a.txt", "caf\u00e9".encode("latin-1"), "forget/a.txt:1: byte 4 of the line is not UTF-8"),
        ("forget/a.txt", "Mira".encode("utf-16"), "forget/a.txt: UTF-16: save it as UTF-8"),
        ("forget/a.jsonl", '{"text": "a"}\n{"text": "b', "forget/a.jsonl:2: not JSON: "),
        (
            "forget/a.jsonl",
            '{"body": "a", "page": 1}',
            "forget/a.jsonl:1: no column text, and no question with answer, only body, page; source.column names the column",
        ),
        ("forget/a.jsonl", '{"text": " "}', "forget/a.jsonl:1: column text is blank"),
        ("forget/a.jsonl", '{"text": 3}', "forget/a.jsonl:1: column text is no text"),
        ("forget/a.jsonl", '{"question": "Who?"}', "forget/a.jsonl:1: no column answer; required: question and answer"),
        ("forget/a.jsonl", '{"question": "Who?", "answer": null}', "forget/a.jsonl:1: column answer is no text"),
        ("questions.jsonl", '{"question": "Who?"}', "questions.jsonl:1: no column answer; required: question and answer"),
        ("questions.jsonl", '{"answer": "Mira"}', "questions.jsonl:1: no column question; required: question and answer"),
        ("questions.jsonl", '{"question": "Who?", "answer": ""}', "questions.jsonl:1: column answer is blank"),
        (
            "holdout/a.jsonl",
            lines(PAIR),
            "FOLDER: forget/letter.txt is a text, but holdout/a.jsonl:1 is a question: use either texts or questions",
        ),
    ],
)
def test_a_fault_of_a_file_is_one_line(folder: Path, name: str, content: str | bytes, line: str) -> None:
    assert refused(write(folder, {name: content})).startswith(line)


def test_a_missing_folder_is_one_line(folder: Path) -> None:
    absent = folder / "no"
    assert refused(absent) == "FOLDER: there is no such folder; source.path must name a folder with forget/ and retain/"
    for name in ("letter.txt", "old/NOTES.MD"):
        (folder / "forget" / name).unlink()
    assert refused(folder) == "forget: no file to read; allowed are .txt, .md, .pdf and .jsonl"
    (folder / "retain" / "guide.jsonl").unlink()
    (folder / "retain").rmdir()
    write(folder, {"forget/letter.txt": LETTER})
    assert refused(folder).startswith("retain: there is no such folder; required: forget/ and retain/, each with ")


def test_every_file_that_is_read_is_hashed_and_no_other(folder: Path) -> None:
    read_files = ("forget/letter.txt", "forget/old/NOTES.MD", "retain/guide.jsonl", "holdout/diary.txt", "questions.jsonl")
    source = DocumentsSource(kind="documents", path=str(folder))
    assert source.hash_files() == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in read_files}
    assert source.read().origin["files"] == source.hash_files()
    assert DocumentsSource(kind="documents", path=str(folder / "no")).hash_files() == {}


def test_a_plan_counts_tokens_by_the_size_of_what_is_forgotten(folder: Path) -> None:
    size = len(LETTER) + 3 + len(NOTES.encode())
    assert DocumentsSource(kind="documents", path=str(folder)).tokens(100) == size / 4
    assert DocumentsSource(kind="documents", path=str(folder / "no")).tokens(100) > 0


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("retain/copy.txt", f"  {LETTER.upper()}", "FOLDER: retain/ has what forget/ has too: 1, the first: '  MIRA LEFT"),
        ("holdout/copy.md", LETTER.strip(), "FOLDER: holdout/ has what forget/ has too: 1, the first: 'Mira left on Monday.'"),
        (
            "holdout/copy.jsonl",
            lines({"text": GUIDE}),
            "FOLDER: holdout/ has what retain/ has too: 1, the first: 'The mill burnt.'",
        ),
    ],
)
def test_the_same_text_in_two_sets_is_refused_whatever_its_blanks_and_case(
    folder: Path, name: str, content: str, line: str
) -> None:
    assert refused(write(folder, {name: content})).startswith(line)


def test_a_question_with_another_answer_is_the_same_question(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"forget/a.jsonl": lines(PAIR), "retain/b.jsonl": lines({**PAIR, "answer": "nobody"})}
    assert refused(write(tmp_path, files)).startswith("FOLDER: retain/ has what forget/ has too: 1, the first: 'Who left?'")


def test_a_quotation_and_a_question_that_is_learnt_are_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    long = " ".join(f"word{number}" for number in range(3 * RUN))
    texts = write(tmp_path / "texts", {"forget/a.txt": long, "retain/b.txt": f"As she wrote: {long}", "retain/c.txt": GUIDE})
    other = {"question": "What burnt?", "answer": "the mill"}
    pairs = write(
        tmp_path / "pairs", {"forget/a.jsonl": lines(PAIR), "retain/b.jsonl": lines(other), "questions.jsonl": lines(other)}
    )
    with caplog.at_level(logging.WARNING, logger="palimpsest"):
        assert read(texts).origin["overlap"] == {"documents of retain/ that quote forget/": 1}
        assert read(pairs).origin["overlap"] == {"questions of questions.jsonl that retain/ answers": 1}
    assert "documents of retain/ that quote forget/: 1, the first: 'As she wrote: word0" in caplog.text
