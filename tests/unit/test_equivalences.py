"""Codes that count as equal: by records of remakes, along chains of them, until one remake contradicts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.contract.equivalences import (
    EQUIVALENCES,
    Equivalence,
    Equivalences,
    change_equivalences,
    read_equivalences,
    write_equivalences,
)
from palimpsest.errors import UserError

CODES = ["a", "b", "c", "d", "e"]


def record(made: str, today: str, stage: str = "unlearn", **changes: object) -> Equivalence:
    equal = Equivalence(stage, made, today, ["palimpsest.methods.ga"], 3, 0, {"tofu/model": "0" * 64})
    return replace(equal, **changes)


def contrary(made: str, today: str) -> Equivalence:
    return record(made, today, artefacts={}, contrary={"tofu/other": "1" * 64})


def test_equality_is_transitive_and_of_one_stage() -> None:
    known = Equivalences([record("a", "b"), record("b", "c"), record("c", "d", stage="finetune")])
    assert known.codes("unlearn", "a") == {"a", "b", "c"} == known.codes("unlearn", "c")
    assert known.are_equal("unlearn", "a", "c") and not known.are_equal("unlearn", "a", "d")
    assert known.codes("evaluate", "a") == {"a"}
    assert {each.pair for each in known.evidence("unlearn", "c")} == {frozenset("ab"), frozenset("bc")}


def test_a_contrary_remake_revokes_the_record() -> None:
    known = Equivalences([record("a", "b")]).revoked(contrary("a", "b"))
    (revoked,) = known.records
    assert revoked.artefacts == {"tofu/model": "0" * 64} and revoked.contrary == {"tofu/other": "1" * 64}
    assert not known.are_equal("unlearn", "a", "b") and known.is_revoked("unlearn", "b", "a")
    assert known.were_equal("unlearn", "a", "b") and known.evidence("unlearn", "a") == []


def test_a_contrary_remake_revokes_all_links_of_a_chain() -> None:
    """One of them is wrong, and nobody knows which."""
    known = Equivalences([record("a", "b"), record("b", "c"), record("d", "e")]).revoked(contrary("a", "c"))
    assert known.codes("unlearn", "b") == {"b"} and known.codes("unlearn", "d") == {"d", "e"}
    assert known.is_revoked("unlearn", "a", "c") and known.is_revoked("unlearn", "a", "b")


def test_what_was_contradicted_is_not_accepted_by_another_draw_or_a_detour() -> None:
    known = Equivalences().revoked(contrary("a", "b"))
    assert not known.added(record("a", "b", seed=1)).are_equal("unlearn", "a", "b")
    assert not known.added(record("a", "c")).added(record("c", "b")).are_equal("unlearn", "a", "b")


@given(st.lists(st.tuples(st.sampled_from(CODES), st.sampled_from(CODES), st.booleans()), max_size=12))
def test_equality_is_an_equivalence_that_no_contrary_remake_crosses(steps: list[tuple[str, str, bool]]) -> None:
    known = Equivalences()
    for made, today, is_equal in steps:
        if made != today:
            known = known.added(record(made, today)) if is_equal else known.revoked(contrary(made, today))
    classes = {code: known.codes("unlearn", code) for code in CODES}
    assert all(code in classes[code] for code in CODES)
    assert all(classes[one] == classes[other] for one in CODES for other in classes[one])
    assert all(not known.are_equal("unlearn", made, today) for made, today, is_equal in steps if not is_equal and made != today)


def test_the_file_has_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    records = [record("a", "b"), contrary("c", "d"), record("b", "c", seed=1)]
    written = []
    for order in (records, records[::-1]):
        write_equivalences(tmp_path, Equivalences(order))
        written.append((tmp_path / EQUIVALENCES).read_bytes())
        assert read_equivalences(tmp_path).records == Equivalences(records).records
    assert written[0] == written[1] and len(written[0].splitlines()) == 5
    assert [path.name for path in tmp_path.iterdir()] == [EQUIVALENCES]


def test_several_processes_lose_no_record(tmp_path: Path) -> None:
    records = [record("a", "b", seed=seed) for seed in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: change_equivalences(tmp_path, lambda known: known.added(each)), records))
    assert read_equivalences(tmp_path).records == Equivalences(records).records


def test_the_same_draw_again_replaces_the_earlier() -> None:
    assert len(Equivalences().added(record("a", "b")).added(record("a", "b")).added(record("a", "b", seed=1)).records) == 2


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '{"a": 1}', "[{}]", '[{"stage": 1, "made": "a", "today": "b", "modules": [], "sample": 3, "seed": 0}]'],
)
def test_what_is_no_such_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / EQUIVALENCES).write_text(text)
    with pytest.raises(UserError) as caught:
        read_equivalences(tmp_path)
    assert str(caught.value) == f"{tmp_path / EQUIVALENCES}: not a file of `palimpsest accept`; delete it, and accept again"
