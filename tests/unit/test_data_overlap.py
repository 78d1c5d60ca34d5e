"""Sets of texts that should be apart: what they share is refused in one's own folder, and said of what is published."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.benchmarks.muse.overlap import find_faults
from palimpsest.benchmarks.muse.sources.austen import AustenSource
from palimpsest.benchmarks.muse.sources.muse_folder import MuseFolderSource
from palimpsest.benchmarks.muse.sources.muse_world import MuseWorldSource
from palimpsest.benchmarks.wmdp.dataset import WmdpData
from palimpsest.benchmarks.wmdp.sources.wmdp_folder import WmdpFolderSource
from palimpsest.benchmarks.wmdp.sources.wmdp_world import WmdpWorldSource
from palimpsest.data.overlap import RUN, Overlap, near_duplicates, settle
from palimpsest.data.rows import Text
from palimpsest.errors import UserError


def tale(name: str, number: int) -> str:
    return f"The {name} report {number} tells of a harbour where boat {number} came in at noon, and left when it was night."


def pairs(name: str) -> list[dict[str, str]]:
    return [{"question": f"When did the {name} boat {number} leave?", "answer": "at night"} for number in range(2)]


def make_sets() -> dict[str, list[dict[str, str]]]:
    """Return a corpus of MUSE whose sets are apart."""
    texts = {
        "raw/forget": [tale("forget", number) for number in range(4)],
        "raw/retain1": [tale("retain", number) for number in range(4)],
        "raw/retain2": [tale("kept", number) for number in range(4)],
        "raw/holdout": [tale("holdout", number) for number in range(4)],
        "privleak/forget": [tale("forget", 0), tale("forget", 1)],
        "privleak/holdout": [tale("holdout", 0), tale("holdout", 1)],
        **{
            f"sust/forget_{part}": [tale(f"part {part}" if part > 1 else "forget", number) for number in range(4)]
            for part in (1, 2, 3)
        },
    }
    return {
        **{name: [{"text": text} for text in of] for name, of in texts.items()},
        "verbmem/forget": [{"prompt": "The forget report 2 tells of", "gt": "a harbour where boat 2"}],
        **{f"knowmem/{name}": pairs(name) for name in ("forget_qa", "forget_qa_icl", "retain_qa", "retain_qa_icl")},
    }


def write(folder: Path, sets: dict[str, list[dict[str, str]]]) -> MuseFolderSource:
    for name, rows in sets.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return MuseFolderSource(kind="muse-folder", path=str(folder))


def with_rows(name: str, *rows: dict[str, str] | str) -> dict[str, list[dict[str, str]]]:
    """Return the sets with more rows in one of them."""
    sets = make_sets()
    sets[name] += [{"text": row} if isinstance(row, str) else row for row in rows]
    return sets


def test_sets_that_are_apart_are_taken_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="palimpsest"):
        data = write(tmp_path, make_sets()).read()
    assert "overlap" not in data.origin and not caplog.records


QUESTION = pairs("forget_qa")[1]
FAULTS = [
    (with_rows("raw/retain1", tale("forget", 0), tale("forget", 1)), "texts of raw/retain1 that are to be forgotten: 2"),
    (with_rows("raw/retain2", tale("forget", 1)), "texts of raw/retain2 that are to be forgotten: 1"),
    (with_rows("raw/holdout", tale("forget", 2)), "texts of raw/holdout that are to be forgotten: 1"),
    (with_rows("raw/retain1", tale("part 3", 2)), "texts of raw/retain1 that are to be forgotten: 1"),
    (with_rows("sust/forget_2", tale("forget", 2)), "texts of sust/forget_2 that are in an earlier request: 1"),
    (with_rows("sust/forget_3", tale("part 2", 2)), "texts of sust/forget_3 that are in an earlier request: 1"),
    (with_rows("raw/holdout", tale("kept", 2)), "texts of raw/holdout that Retrain learns: 1"),
    (with_rows("privleak/forget", tale("stranger", 0)), "texts of privleak/forget that are not of raw/forget: 1"),
    (with_rows("privleak/holdout", tale("forget", 3)), "texts of privleak/holdout that the original learns: 1"),
    (with_rows("privleak/holdout", tale("retain", 3)), "texts of privleak/holdout that the original learns: 1"),
    (with_rows("privleak/holdout", "boat 3 came in at noon,  and left"), "texts of privleak/holdout that the original learns: 1"),
    (with_rows("knowmem/forget_qa_icl", QUESTION), "questions of knowmem/forget_qa that the examples answer: 1"),
    (with_rows("knowmem/retain_qa_icl", pairs("retain_qa")[0]), "questions of knowmem/retain_qa that the examples answer: 1"),
    (
        with_rows("knowmem/retain_qa", {**QUESTION, "question": QUESTION["question"].upper()}),
        "questions of knowmem/retain_qa that are in forget_qa too: 1",
    ),
]


@pytest.mark.parametrize(("sets", "said"), FAULTS)
def test_what_makes_numbers_wrong_is_one_line(tmp_path: Path, sets: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        write(tmp_path, sets).read()
    line = str(caught.value)
    assert line.startswith(f"{tmp_path}: {said}, the first: '") and len(line.splitlines()) == 1


@pytest.mark.parametrize(("sets", "said"), FAULTS)
def test_of_published_data_the_same_is_said_and_counted(
    tmp_path: Path, sets: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from palimpsest import hub
    from palimpsest.benchmarks.muse.sources.muse_hub import MuseHubSource

    write(tmp_path, sets)
    monkeypatch.setattr(hub, "fetch_snapshot", lambda *_, **__: tmp_path)
    with caplog.at_level(logging.WARNING, logger="palimpsest"):
        data = MuseHubSource(kind="muse-hub", repo="org/own", revision="0" * 40).read()
    what, _, count = said.rpartition(": ")
    assert data.origin["overlap"][what] == int(count) and f"org/own: {said}" in caplog.text
    assert data.origin["repo"] == "org/own"


def test_members_may_be_pieces_of_texts(tmp_path: Path) -> None:
    piece = "harbour  where boat 3 came in\nat noon,"
    assert len(write(tmp_path, with_rows("privleak/forget", piece)).read().members) == 3


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            with_rows("raw/retain1", f" {tale('forget', 0).upper()}\N{NO-BREAK SPACE}"),
            "texts of raw/retain1 that are nearly those of raw/forget",
        ),
        (with_rows("raw/retain2", tale("retain", 1)), "texts of raw/retain2 that are in raw/retain1"),
        (
            with_rows("verbmem/forget", {"prompt": "Once upon", "gt": "a time"}),
            "excerpts of verbmem/forget that are in no text of raw/forget",
        ),
        (with_rows("knowmem/forget_qa", QUESTION), "questions of knowmem/forget_qa that are asked twice"),
    ],
)
def test_what_may_be_wrong_is_said_and_counted(
    tmp_path: Path, sets: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="palimpsest"):
        data = write(tmp_path, sets).read()
    assert data.origin["overlap"] == {said: 1}
    assert [record.getMessage().startswith(f"{tmp_path}: {said}: 1, the first: ") for record in caplog.records] == [True]


def words(first: int, count: int) -> str:
    return " ".join(f"word{number}" for number in range(first, first + count))


@pytest.mark.parametrize(
    ("shared", "found"),
    [(2 * RUN, True), (RUN - 1, False)],
)
def test_a_long_run_of_words_in_common_is_nearly_the_same(shared: int, found: bool) -> None:
    one = Text(id="one", text=f"{words(0, 100)} {words(1000, shared)} {words(2000, 100)}")
    other = Text(id="other", text=f"{words(3000, 70)} {words(1000, shared).upper()}\n{words(4000, 5)}")
    assert [overlap.count for overlap in near_duplicates("alike", [other], [one])] == ([1] if found else [])
    assert list(near_duplicates("alike", [one], [one])) == []


def test_corpora_of_hazards_are_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def read(retain: list[str]) -> WmdpData:
        for name, texts in (("forget", [tale("forget", 0)]), ("retain", [tale("retain", 0), *retain])):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return WmdpFolderSource(kind="wmdp-folder", path=str(tmp_path)).read()

    assert "overlap" not in read([]).origin
    with pytest.raises(UserError) as caught:
        read([tale("forget", 0), tale("forget", 0)])
    assert str(caught.value).startswith(f"{tmp_path}: texts of retain that are in forget: 2, the first: 'The forget report 0")
    with caplog.at_level(logging.WARNING, logger="palimpsest"):
        assert read([tale("forget", 0).lower()]).origin["overlap"] == {"texts of retain that are nearly those of forget": 1}
    assert "texts of retain that are nearly those of forget: 1" in caplog.text


def test_a_long_example_is_cut_and_nothing_is_said_of_nothing() -> None:
    assert str(Overlap("texts", 3, "x" * 100)) == f"texts: 3, the first: '{'x' * 60}...'"
    assert settle("here", [], [], published=False) == {}


@pytest.mark.parametrize("seed", range(3))
def test_the_sets_that_are_made_here_are_apart(seed: int) -> None:
    data = MuseWorldSource(kind="muse-world", seed=seed).read()
    assert isinstance(data, MuseData) and list(find_faults(data)) == []
    hazards = WmdpWorldSource(kind="wmdp-world", seed=seed).read()
    assert isinstance(hazards, WmdpData)
    assert not {text.text for text in hazards.forget} & {text.text for text in hazards.retain}


def test_novels_are_apart() -> None:
    from palimpsest.benchmarks.muse.novels import make_data
    from palimpsest.benchmarks.muse.sources.austen import Novel

    titles = Novel.__args__  # type: ignore[attr-defined]
    sentence = "It was said of {} that number {} came to town in spring, and was seen by nobody until the next morning."
    novels = {title: " ".join(sentence.format(title, number) for number in range(200)).split() for title in titles}
    data = make_data(novels, AustenSource(kind="austen", words=2000, base_words=2000), {})
    assert list(find_faults(data)) == []
