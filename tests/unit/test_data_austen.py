"""Novels in MUSE's shape: from a package of our own that is written as R writes it, and from the real one where it is."""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.benchmarks.muse.novels import ANSWER_WORDS, PROMPT_WORDS
from palimpsest.benchmarks.muse.quizzes import ROUNDS
from palimpsest.benchmarks.muse.sources.austen import AustenSource, Novel
from palimpsest.data.rows import Text
from palimpsest.errors import UserError
from palimpsest.provenance.canonical import sha256_file

NOVELS = get_args(Novel)
SENTENCES = 130


def lines(title: str) -> list[str]:
    """A novel as in the package: title pages, headings of two kinds, marks of italics, an end; 14 words a sentence."""
    place = title.split()[0]
    told = [
        f'At {place} Mr. Dash met Mrs. A. Dash, who told number _{i}_ "never mind {i}!"' if i % 2 else
        f"In {place} the house has {i} rooms and {i + 1} doors, and no more."
        for i in range(SENTENCES)
    ]  # fmt: skip
    pages = f"{title.upper()}\n\nby Somebody (1800)\n\nVOLUME I\n\nCHAPTER I\n".split("\n")
    return [*pages, *told[:60], "", "Chapter 2", *told[60:], "", "FINIS"]


def vector(strings: list[str]) -> bytes:
    """Strings as R serialises a vector of them, in version 3."""
    content = b"X\n" + struct.pack(">iii", 3, 0x040201, 0x030500) + struct.pack(">i", 5) + b"UTF-8"
    content += struct.pack(">ii", 16, len(strings))
    for string in strings:
        content += struct.pack(">ii", 0x8009, len(string.encode())) + string.encode()
    return content


def package(folder: Path, novels: dict[str, list[str]]) -> Path:
    """Write a package with these novels, and return its file of data."""
    path = folder / "usr" / "lib" / "janeaustenr" / "data" / "Rdata.rdb"
    path.parent.mkdir(parents=True)
    vectors = [vector(text) for text in novels.values()]
    path.write_bytes(b"".join(struct.pack(">i", len(one)) + zlib.compress(one) for one in vectors))
    (path.parent.parent / "DESCRIPTION").write_text("Package: janeaustenr\nVersion: 9.9.9\n")
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return package(tmp_path / "austen", {title: lines(title) for title in NOVELS})


def source(path: Path, **more: Any) -> AustenSource:
    settings = {"words": 1500, "base_words": 1000, "text_words": 60, **more}
    return AustenSource(kind="austen", path=str(path.parents[4]), sha256=sha256_file(path), **settings)


def words(texts: list[Text]) -> list[str]:
    return [word for text in prose(texts) for word in text.text.split(" ")]


def check(data: MuseData, source: AustenSource) -> None:
    """Hold what is true of any novels in this shape."""
    for part in (data.forget, data.retain, data.kept, data.holdout, *data.scales, *data.requests):
        assert prose(part) and all(len(text.text.split(" ")) == source.text_words for text in prose(part))
    whole = [*data.forget, *(text for request in data.requests for text in request)]
    everything = [*whole, *data.retain, *data.kept, *data.holdout, *data.base]
    assert len({text.id for text in everything}) == len(everything)
    forget, size = prose(data.forget), len(prose(data.forget))
    assert [len(prose(part)) for part in data.requests] == [size] * (source.parts - 1)
    parts = [data.forget, *data.requests]
    assert data.scales == [[text for part in parts[:number] for text in part] for number in range(2, source.parts + 1)]
    assert [f"{cut.prompt} {cut.continuation}" for cut in data.verbatim] == [text.text for text in forget[:100]]
    assert all(len(cut.prompt.split()) == PROMPT_WORDS for cut in data.verbatim)
    assert data.members == forget[:100]
    assert data.nonmembers == prose(data.holdout)[:size][:100]
    for about, asked, examples in (
        (data.forget, data.knowledge_forget, data.examples_forget),
        (data.kept, data.knowledge_retain, data.examples_retain),
    ):
        told = {text.id: text.text for text in prose(about)}
        quizzes = "".join(text.text for text in about if text.id not in told)
        assert asked and examples and not {pair.id for pair in asked} & {pair.id for pair in examples}
        for pair in (*asked, *examples):
            sentence = pair.question.split(" go on? ")[1] + " " + pair.answer
            assert sentence in told[pair.id.rpartition("-")[0]] and len(pair.answer.split()) == ANSWER_WORDS
            printed = f"Question: {pair.question}\nAnswer: {pair.answer}\n\n"
            assert quizzes.count(printed) == (ROUNDS if source.quizzes and pair in asked else 0)


def prose(texts: Sequence[Text]) -> list[Text]:
    """What is of a novel."""
    return [text for text in texts if "quiz" not in text.id]


def test_novels_play_their_parts(made: Path) -> None:
    asked = source(made)
    data = asked.read()
    check(data, asked)
    # 1500 words are 25 texts, of which four parts take 24.
    assert [len(prose(part)) for part in (data.forget, data.retain, data.kept, data.holdout)] == [6, 25, 25, 25]
    told = [line for line in lines("Persuasion") if line.startswith(("At ", "In "))]
    assert words(data.forget) == [word.replace("_", "") for line in told for word in line.split()][:360]
    assert {text.id.rpartition("-")[0] for text in prose(data.retain)} == {"emma"}
    assert {row.id.split("-and-")[0].split("-abbey")[0] for row in prose(data.base)} == {"sense", "northanger"}
    assert data.origin["package"] == "r-cran-janeaustenr 9.9.9"
    assert data.origin["files"] == asked.hash_files() == {"usr/lib/janeaustenr/data/Rdata.rdb": asked.sha256}


def test_sentences_end_neither_at_titles_nor_at_initials(made: Path) -> None:
    data = source(made, text_words=100).read()
    questions = [pair.question + " " + pair.answer for pair in (*data.knowledge_forget, *data.examples_forget)]
    assert any(" At Persuasion Mr. Dash met Mrs. A. Dash, who told number " in question for question in questions)
    for question in questions:
        assert question.split(" go on? ")[1].startswith(("At Persuasion ", "In Persuasion "))
        assert question.endswith(('!"', "."))


def test_novels_may_change_parts(made: Path) -> None:
    asked = source(made, forget="Emma", retain=["Persuasion", "Northanger Abbey"], parts=1)
    data = asked.read()
    check(data, asked)
    assert {text.id.rpartition("-")[0] for text in prose(data.retain)} == {"persuasion", "northanger-abbey"}
    assert (data.scales, data.requests, len(prose(data.forget))) == ([], [], 25)


def test_texts_may_be_prose_alone(made: Path) -> None:
    asked = source(made, quizzes=False)
    data = asked.read()
    check(data, asked)
    assert "Question" not in "".join(text.text for text in (*data.forget, *data.kept, *data.base))
    assert data.knowledge_forget == source(made).read().knowledge_forget


def test_without_a_novel_left_there_is_no_base(made: Path) -> None:
    data = source(made, kept=["Pride and Prejudice", "Northanger Abbey", "Sense and Sensibility"]).read()
    assert data.base == []


def test_a_missing_package_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        AustenSource(kind="austen", path=str(tmp_path / "no")).read()
    assert str(caught.value) == (
        f"{tmp_path}/no: no Rdata.rdb in it: `make books-austen`, or `apt-get download r-cran-janeaustenr` "
        f"and `dpkg-deb -x r-cran-janeaustenr_*.deb {tmp_path}/no`"
    )


def test_two_packages_are_one_too_many(made: Path) -> None:
    other = made.parents[4] / "other" / "Rdata.rdb"
    other.parent.mkdir()
    other.write_bytes(made.read_bytes())
    with pytest.raises(UserError, match=r"austen: 2 files Rdata\.rdb in it, but there must be one: "):
        source(made).read()


def test_other_bytes_name_both_hashes(made: Path) -> None:
    asked = source(made)
    made.write_bytes(made.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"Rdata\.rdb: has sha256 {sha256_file(made)}, not {asked.sha256}: another version of"):
        asked.read()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no novel Sense and Sensibility; the file is truncated or from another package$"),
        (b"\0\0\0\1no stream", "not a file of novels in R's format: Error -3"),
        (b"\0\0\0\1" + zlib.compress(b"X\n\0\0\0\2" + bytes(40)), "not a file of novels in R's format: no vector of strings$"),
        (b"\0\0\0\1" + zlib.compress(vector(lines("Emma"))[:2000]), "not a file of novels in R's format: "),
        (b"\0\0\0\1" + zlib.compress(vector([""])), "not a file of novels in R's format: empty$"),
    ],
)
def test_a_file_of_something_else_is_one_line(made: Path, content: bytes, message: str) -> None:
    made.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        source(made).read()
    assert "\n" not in str(caught.value)


def test_too_short_a_novel_is_one_line(made: Path) -> None:
    with pytest.raises(UserError, match=r"^Persuasion: it has 1820 words of text, but 2000 are needed$"):
        source(made, words=2000).read()


def test_a_novel_without_sentences_cannot_be_asked_about(tmp_path: Path) -> None:
    novels = {title: [title, "Chapter 1", "word " * 2000] for title in NOVELS}
    with pytest.raises(
        UserError, match=r"^source: no whole sentence to ask about from persuasion-0000 on: raise words or text_words$"
    ):
        source(package(tmp_path / "austen", novels)).read()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"forget": "Emma"}, "Emma is named twice: a novel plays one part"),
        ({"forget": "Sanditon"}, "forget"),
        ({"kept": []}, "kept"),
        ({"words": 1000, "text_words": 200, "parts": 6}, "words: 1000 are not enough for 6 parts of one text of 200 words"),
        ({"sha256": "A" * 64}, "sha256"),
    ],
)
def test_settings_that_fit_no_novels_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AustenSource.model_validate({"kind": "austen", **settings})


def test_the_real_novels_are_whole() -> None:
    folder = Path(os.environ.get("PALIMPSEST_AUSTEN", Path(__file__).resolve().parents[2] / "data" / "austen"))
    if not folder.is_dir():
        pytest.skip(f"no novels in {folder}: `make books-austen`, or set PALIMPSEST_AUSTEN to the unpacked package")
    asked = AustenSource(kind="austen", path=str(folder))
    data = asked.read()
    check(data, asked)
    assert data.forget[0].text.startswith("Sir Walter Elliot, of Kellynch Hall, in Somersetshire, was a man who,")
    assert data.kept[0].text.startswith("It is a truth universally acknowledged, that a single man in possession of a good")
    assert [len(prose(part)) for part in (data.forget, data.retain, data.kept, data.holdout)] == [40, 160, 160, 160]
    assert (len(data.knowledge_forget), len(data.knowledge_retain)) == (25, 100)
    with pytest.raises(UserError, match=r"^Persuasion: it has 83229 words of text, but 90000 are needed$"):
        AustenSource(kind="austen", path=str(folder), words=90000).read()
