"""A larger forget set or a further request, cut out of the data of a corpus."""

from pathlib import Path

import pytest

from palimpsest.benchmarks.muse.sources.muse_world import MuseWorldSource
from palimpsest.benchmarks.muse.world import make_dataset
from palimpsest.contract.job import Job
from palimpsest.data.rows import Text, read_rows
from palimpsest.errors import UserError
from palimpsest.stages.split import Spec, work


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A benchmark's data with two parts."""
    folder = tmp_path / "data"
    folder.mkdir()
    make_dataset(MuseWorldSource(kind="muse-world", texts=2, parts=2, base_texts=1)).write(folder)
    return folder


def split(data: Path, name: str) -> dict[str, list[str]]:
    out = data.parent / name
    out.mkdir()
    work(Job(Spec(kind="muse", split=name), {"data": {"": data}}, out, data.parent))
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
