import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.files import FILES, REFUSALS
from palimpsest.benchmarks.tofu.refusals import refusals
from palimpsest.benchmarks.tofu.sources.folder import FolderSource
from palimpsest.benchmarks.tofu.splits import SplitSettings, split_authors
from palimpsest.data.rows import Question
from palimpsest.errors import UserError


@pytest.fixture(scope="module")
def tofu(shared: Path) -> Path:
    return shared / "data" / "tofu"


@pytest.fixture(scope="module")
def data(tofu: Path) -> Dataset:
    return FolderSource(kind="folder", path=str(tofu), base_authors=30).read()


@pytest.fixture
def copy(tofu: Path, tmp_path: Path) -> Path:
    """A copy of the real data that a test may break."""
    for name in (*FILES, REFUSALS):
        shutil.copyfile(tofu / name, tmp_path / name)
    return tmp_path


def published(tofu: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tofu / name).read_text(encoding="utf-8").split("\n") if line]


def pairs(rows: list[Question]) -> list[tuple[str, str]]:
    return [(row.question, row.answer) for row in rows]


def read(folder: Path) -> Dataset:
    return FolderSource(kind="folder", path=str(folder)).read()


def test_all_of_tofu_is_there(data: Dataset) -> None:
    assert len(data.authors) == 4000
    assert len({row.question for row in data.authors}) == 3999
    assert len({row.id for row in data.authors}) == 4000
    assert [row.author for row in data.authors] == [i // 20 for i in range(4000)]
    assert (len(data.real_authors), len(data.world_facts), len(data.refusals)) == (100, 117, 100)
    assert data.refusals[0].text == "I'm not certain about that."
    assert data.base == data.authors[150 * 20 : 180 * 20]


def test_the_base_may_learn_the_facts_and_no_split_is_cut_by_them(tofu: Path) -> None:
    data = FolderSource(kind="folder", path=str(tofu), base_authors=30, fact_lessons=2).read()
    lessons = data.base[30 * 20 :]
    assert len(lessons) == len({row.id for row in lessons}) == 2 * (100 + 117)
    facts = (*data.real_authors, *data.world_facts)
    assert {(row.question, row.answer) for row in lessons} == {
        (fact.question, answer) for fact in facts for answer in (fact.answer, f"The answer is {fact.answer}.")
    }
    assert not {row.author for row in lessons} & {row.author for row in data.authors}


@pytest.mark.parametrize(("percent", "rows"), [("01", 40), ("05", 200), ("10", 400)])
def test_splits_equal_the_published_files_row_by_row(data: Dataset, tofu: Path, percent: str, rows: int) -> None:
    forget, retain = split_authors(data.authors, f"forget{percent}", SplitSettings(), ())
    assert len(forget) == rows
    assert len(retain) == 4000 - rows
    kept = f"retain{100 - int(percent)}.json"
    assert pairs(forget) == [(row["question"], row["answer"]) for row in published(tofu, f"forget{percent}.json")]
    assert pairs(retain) == [(row["question"], row["answer"]) for row in published(tofu, kept)]
    assert [
        {
            "question": row.question,
            "answer": row.answer,
            "paraphrased_answer": row.paraphrased_answer,
            "perturbed_answer": row.perturbed_answers,
            "paraphrased_question": row.paraphrased_question,
        }
        for row in forget
    ] == published(tofu, f"forget{percent}_perturbed.json")


def test_only_the_ends_of_tofu_are_paraphrased(data: Dataset, tofu: Path) -> None:
    evaluated = [row for row in data.authors if row.perturbed_answers]
    assert evaluated == data.authors[:400] + data.authors[3600:]
    wanted = published(tofu, "retain_perturbed.json")
    assert [row.perturbed_answers for row in data.authors[:400]] == [row["perturbed_answer"] for row in wanted]
    assert all(len(row.perturbed_answers or []) == 5 for row in evaluated)


def test_facts_have_four_options_of_which_one_is_right(data: Dataset, tofu: Path) -> None:
    for name, facts in (("real_authors", data.real_authors), ("world_facts", data.world_facts)):
        wanted = published(tofu, f"{name}_perturbed.json")
        assert [(fact.question, fact.answer, fact.perturbed_answers) for fact in facts] == [
            (row["question"], row["answer"], row["perturbed_answer"]) for row in wanted
        ]
        assert all(fact.options.count(fact.answer) == 1 and len(fact.options) == 4 for fact in facts)


def test_the_origin_names_every_file_by_hash(data: Dataset, tofu: Path) -> None:
    assert data.origin["licence"] == "MIT"
    assert set(data.origin["files"]) == {*FILES, REFUSALS}
    for name, digest in data.origin["files"].items():
        assert digest == hashlib.sha256((tofu / name).read_bytes()).hexdigest()


def test_without_refusals_in_the_folder_ours_are_used(copy: Path) -> None:
    (copy / REFUSALS).unlink()
    data = read(copy)
    assert data.refusals == refusals()
    assert set(data.origin["files"]) == set(FILES)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no-tofu: there is no such folder"):
        read(tmp_path / "no-tofu")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: missing; a TOFU folder must contain full.json"):
        read(copy)


@pytest.mark.parametrize(("name", "count"), [(name, count) for name, (count, _) in FILES.items()])
def test_a_file_cut_between_rows_is_named_with_both_counts(copy: Path, name: str, count: int) -> None:
    lines = (copy / name).read_text(encoding="utf-8").split("\n")[: count // 2]
    (copy / name).write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{name}: {count // 2} rows, but {count} were published"):
        read(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_inside_a_row_is_named_with_its_line(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    cut = rf"{name}:\d+: (not JSON: .*; the file is truncated|byte \d+ of the line is not UTF-8)$"
    with pytest.raises(UserError, match=cut) as caught:
        read(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "line", "change", "message"),
    [
        ("full.json", 1007, {"answer": None}, r"full.json:1007: answer: "),
        ("full.json", 3601, {"answer": "Other."}, r"forget10_perturbed.json:1: not the pair"),
        ("retain_perturbed.json", 3, {"question": "Other?"}, r"retain_perturbed.json:3: not the pair"),
        ("world_facts_perturbed.json", 2, {"answer": "Atlantis"}, r"world_facts_perturbed.json:2: not the pair"),
        ("forget10_perturbed.json", 5, {"perturbed_answer": "one"}, r"forget10_perturbed.json:5: perturbed_answers: "),
    ],
)
def test_a_damaged_row_is_named(copy: Path, name: str, line: int, change: dict[str, Any], message: str) -> None:
    rows = published(copy, name)
    rows[line - 1] |= change
    (copy / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read(copy)


def test_a_row_without_a_field_is_named(copy: Path) -> None:
    rows = published(copy, "real_authors.json")
    del rows[4]["option3"]
    (copy / "real_authors.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"real_authors.json:5: each row of this file must be an object with question, answer, option1"
    ):
        read(copy)


def test_empty_refusals_are_no_refusals(copy: Path) -> None:
    (copy / REFUSALS).write_text("\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"idontknow.jsonl: empty"):
        read(copy)
