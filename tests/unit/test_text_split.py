"""The stage that takes a larger forget set or a further request out of a benchmark's data."""

from pathlib import Path

import pytest

from palimpsest.data.rows import Text, read_rows
from palimpsest.data.settings import MuseWorldSource
from palimpsest.data.world_texts import read_muse_world
from palimpsest.errors import UserError
from palimpsest.stages.contract import Job
from palimpsest.stages.text_split import Spec, work


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A benchmark's data with two parts."""
    folder = tmp_path / "data"
    folder.mkdir()
    read_muse_world(MuseWorldSource(kind="muse-world", texts=2, parts=2, base_texts=1)).write(folder)
    return folder


def split(data: Path, name: str) -> dict[str, list[str]]:
    out = data.parent / name
    out.mkdir()
    work(Job(Spec(split=name), {"data": [data]}, out, data.parent))
    return {path.stem: [row.id for row in read_rows(path, Text)] for path in out.iterdir()}


def test_a_scale_holds_the_first_forget_set_and_a_request_is_apart_from_it(data: Path) -> None:
    first = [row.id for row in read_rows(data / "forget.jsonl", Text)]
    retained = [row.id for row in read_rows(data / "retain.jsonl", Text)]
    scale, request = split(data, "scale2"), split(data, "request2")
    assert scale["retain"] == request["retain"] == retained
    assert scale["forget"] == [*first, *request["forget"]] and not {*first} & {*request["forget"]}
    learnt = [row.id for row in read_rows(data / "original.jsonl", Text)]
    assert sorted(learnt) == sorted({*learnt}) and {*scale["forget"], *retained} < {*learnt}
    assert not {*scale["forget"]} & {row.id for row in read_rows(data / "retrain.jsonl", Text)}


def test_a_split_that_the_data_lacks_is_one_line(data: Path) -> None:
    with pytest.raises(UserError) as caught:
        split(data, "scale3")
    assert str(caught.value) == "split 'scale3': the data has none of that name: it has request2, scale2"
