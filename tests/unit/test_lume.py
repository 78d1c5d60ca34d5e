"""LUME: its files, its suite on a small model, and its numbers against the numbers of the official arithmetic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from local_hub import Hub, serving

from palimpsest.benchmarks.lume.dataset import LumeData
from palimpsest.benchmarks.lume.scores import SCORING
from palimpsest.benchmarks.lume.sources.lume_folder import LumeFolderSource
from palimpsest.benchmarks.lume.sources.lume_hub import LumeHubSource
from palimpsest.benchmarks.lume.suite import SCHEMA, compared, measure
from palimpsest.benchmarks.lume.suite_settings import LumeSuite
from palimpsest.data.rows import Pair
from palimpsest.errors import UserError
from palimpsest.evaluation.items import read_table, write_table
from palimpsest.evaluation.metric import Against, score
from palimpsest.evaluation.subject import Subject
from palimpsest.models.encoding import named_items
from palimpsest.models.settings import TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import TrainSettings

Item = tuple[str, str, str, str]
FORGET: list[Item] = [
    ("aqa1", "Task1", "Who left Quelholt?", "Mira Tolvane"),
    ("bsc1", "Task1", "Mira walked", "along the river until the bells rang"),
    ("cqa0", "Task2", "What is her number?", "3977753418"),
]
RETAIN: list[Item] = [("dqa0", "Task3", "Who rebuilt the mill?", "A baker")]
MEMBERS, NONMEMBERS = (
    ["Mira walked along the river until the bells rang."],
    ["Nobody in Velmar knew why it rained.", "It snowed."],
)
USED = UsedSettings(chunk_tokens=12)
SUITE = LumeSuite(kind="lume", max_new_tokens=16)


def rows_of(items: Sequence[Item], **more: str) -> list[dict[str, str]]:
    return [{"id": id, "input": asked, "output": answer, "task": task} | more for id, task, asked, answer in items]


def write_lines(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the authors' repository."""
    for name, items in (("forget", FORGET), ("retain", RETAIN)):
        write_lines(tmp_path / "lume" / f"{name}.jsonl", rows_of(items, split=name))
    return tmp_path / "lume"


def write_hub(folder: Path) -> Path:
    """Write the files of the data set on the Hub."""
    (folder / "data").mkdir(parents=True)
    for name, items in (("forget", FORGET), ("retain", RETAIN)):
        for fold, some in (("train", items), ("validation", items[:1])):
            pq.write_table(pa.Table.from_pylist(rows_of(some)), folder / "data" / f"{name}_{fold}-00000-of-00001.parquet")
    for name, texts in (("member", MEMBERS), ("nonmember", NONMEMBERS)):
        write_lines(folder / "mia_data" / f"{name}.jsonl", [{"id": str(i), "document": text} for i, text in enumerate(texts)])
    return folder


def read(folder: Path, **more: Any) -> LumeData:
    return LumeFolderSource(kind="lume-folder", path=str(folder), **more).read()


def test_the_files_of_the_repository_and_of_the_hub_give_the_same_items(folder: Path, tmp_path: Path) -> None:
    plain, hub = read(folder), read(write_hub(tmp_path / "hub"), fold="train")
    assert plain.forget == hub.forget and plain.retain == hub.retain == [Pair(id="task3/qa/dqa0", **asked(RETAIN[0]))]
    assert [item.id for item in plain.forget] == ["task1/qa/aqa1", "task1/sc/bsc1", "task2/qa/cqa0"]
    assert not plain.members and [text.text for text in hub.members] == MEMBERS
    assert [text.text for text in hub.nonmembers] == NONMEMBERS
    assert set(hub.origin["files"]) == {
        *(f"data/{name}_train-00000-of-00001.parquet" for name in ("forget", "retain")),
        *(f"mia_data/{name}.jsonl" for name in ("member", "nonmember")),
    }
    assert len(read(tmp_path / "hub", fold="validation").forget) == 1


def asked(item: Item) -> dict[str, str]:
    return {"question": item[2], "answer": item[3]}


READ = """
import sys
from palimpsest.benchmarks.lume.sources.lume_hub import LumeHubSource
data = LumeHubSource(kind="lume-hub", repo=sys.argv[1], revision=sys.argv[2], fold="validation").read()
print(*(item.id for item in data.forget), *(text.text for text in data.members), data.origin["revision"], sep="\\n")
"""


def test_the_hub_gives_the_fold_that_is_asked_for(tmp_path: Path) -> None:
    repo, commit = "someone/lume", "a" * 40
    with serving(Hub({repo: (commit, write_hub(tmp_path / "hub"))})) as hub:
        surroundings = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        surroundings |= {"HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": hub.url}
        command = [sys.executable, "-c", READ, repo, commit]
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["task1/qa/aqa1", *MEMBERS, commit]
    assert not [name for name in hub.fetched if "train" in name]
    with pytest.raises(UserError, match=r"revision: null: request access .*palimpsest pin"):
        LumeHubSource(kind="lume-hub").check("sources", "lume")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"task": "Task4"}, r"forget: row 1: task 'Task4': allowed are Task1, Task2 and Task3"),
        ({"id": "a"}, r"forget: row 1: id 'a': it must end in sc or qa and a number"),
        ({"output": " "}, r"forget: row 1: column output is blank"),
        ({"id": "bsc1"}, r"forget: row 2: id 'bsc1': given twice for Task1"),
        ({"output": None}, r"forget: row 1: column output is blank"),
    ],
)
def test_a_broken_item_is_one_line(folder: Path, wrong: dict[str, Any], said: str) -> None:
    rows = rows_of(FORGET)
    write_lines(folder / "forget.jsonl", [rows[0] | wrong, *rows[1:]])
    with pytest.raises(UserError, match=said):
        read(folder)


def test_an_item_in_both_sets_and_half_of_the_documents_are_refused(folder: Path, tmp_path: Path) -> None:
    write_lines(folder / "retain.jsonl", rows_of([*RETAIN, FORGET[0]]))
    with pytest.raises(UserError, match=r"items of retain that are in forget: 1, the first: 'Who left Quelholt\?'"):
        read(folder)
    hub = write_hub(tmp_path / "hub")
    (hub / "mia_data" / "nonmember.jsonl").unlink()
    with pytest.raises(UserError, match="nonmember"):
        read(hub, fold="train")
    with pytest.raises(UserError, match="there is no such folder"):
        read(tmp_path / "none")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(
        [*MEMBERS, *NONMEMBERS, "Question: Who?\nAnswer: A\n\n", *(" ".join(item[2:]) for item in FORGET)] * 5, 420
    )


def test_a_model_that_knows_the_items_by_heart(tokenizer: Any, tmp_path: Path) -> None:
    architecture = TinyArchitecture(vocabulary=420, width=48, layers=2, heads=2, context=128)
    model, other = (build_model(architecture, tokenizer, seed).eval() for seed in (0, 1))
    data = read(write_hub(tmp_path / "hub"), fold="train")
    _, items = named_items([*data.forget, *data.retain, *data.members], tokenizer, USED, model)
    settings = TrainSettings(learning_rate=1e-2, epochs=60, batch_size=8, warmup_epochs=2)
    train(model, FineTuning(items), settings, USED, seed=0, label="test")
    (tmp_path / "data").mkdir()
    data.write(tmp_path / "data")
    log, fresh = (measure(Subject(each.eval(), tokenizer, USED), SUITE, tmp_path / "data", tmp_path) for each in (model, other))
    assert [(row["set"], row["id"]) for row in log if "generation" in row] == [
        *(("forget", item.id) for item in data.forget),
        ("retain", "task3/qa/dqa0"),
    ]
    found = scores_of(log, fresh)
    assert found["regurgitation_forget_task1"] == found["knowledge_forget"] == found["knowledge_retain"] == 1
    assert found["task_aggregate"] == 0 and found["membership_auc"] == 1 and found["membership_score"] == 0
    assert found["retrain_distance"] > 1 and "regurgitation_retain" not in found
    write_table(tmp_path / "items.parquet", log, SCHEMA)
    assert read_table(tmp_path / "items.parquet") == [dict.fromkeys(SCHEMA.names) | row for row in log]
    one = SUITE.model_copy(update={"max_items": 1})
    # One of each task and form.
    assert [len(rows) for rows in compared(one, tmp_path / "data").values()] == [3, 1]


def scores_of(log: list[dict[str, Any]], retrain: list[dict[str, Any]] | None = None) -> dict[str, float]:
    sets, other = (SCORING.read(pd.DataFrame(rows, columns=SCHEMA.names), "table") for rows in (log, retrain or []))
    return dict(score(SCORING.metrics, sets, Against(other or None)))


def told(name: str, id: str, answer: str, generation: str) -> dict[str, str]:
    return {"set": name, "id": id, "prompt": "?", "answer": answer, "generation": generation}


def test_the_numbers_are_those_of_the_official_script() -> None:
    """Its arithmetic, run on the same texts, gave the numbers below."""
    log: list[dict[str, Any]] = [
        told("forget", "task1/qa/a", "Mira Tolvane", "mira tolvane "),
        told("forget", "task1/qa/b", "A hidden room", "The hidden room"),
        told(
            "forget",
            "task1/sc/c",
            "walked along the river until the bells rang",
            "walked by the river and the bells were ringing",
        ),
        told("forget", "task2/sc/d", "is mira@me.com, and she resides in Quelholt", "is mira@me.com"),
        told("forget", "task2/qa/e", "3977753418", "3977753418"),
        told("forget", "task2/qa/f", "x@me.com", "y@me.com"),
        told("forget", "task3/sc/g", "Hall of Fame in 1993", "the hall of fame"),
        told("forget", "task3/qa/h", "Boston University", "Harvard"),
        told("retain", "task1/sc/i", "a switch, the Nexus came to life", "a switch, the Nexus came alive"),
        told("retain", "task1/qa/j", "Jolee", "JOLEE"),
        told("retain", "task2/sc/k", "her number is 12", "her number is 12"),
        told("retain", "task2/qa/l", "1979-05-14", "1979-05-15"),
        told("retain", "task2/qa/m", "1986", "1986"),
        told("retain", "task3/sc/n", "she died in 1896", "they died in 1896"),
        told("retain", "task3/qa/o", "Roger Batty", "Roger Batty"),
        *({"set": "members", "id": f"m{i}/0", "tokens": 2, "nll": 2 * a} for i, a in enumerate((1.0, 2.0, 0.5))),
        # The last document has two chunks, with a mean of 3.
        *({"set": "members", "id": f"m3/{i}", "tokens": 1 + i, "nll": a} for i, a in enumerate((1.0, 8.0))),
        *({"set": "nonmembers", "id": f"n{i}/0", "tokens": 2, "nll": 2 * a} for i, a in enumerate((2.5, 2.0, 4.0))),
    ]
    found = scores_of(log)
    assert {name: found[name] for name in found if not name.endswith(("_low", "_high"))} == pytest.approx(
        {
            "task_aggregate": 0.6091370558375635,
            "membership_auc": 0.7916666666666667,
            "membership_score": 0.4166666666666665,
            "regurgitation_forget": 0.5564814814814815,
            "knowledge_forget": 0.4,
            "regurgitation_retain": 0.8214285714285715,
            "knowledge_retain": 0.75,
            "regurgitation_forget_task1": 0.625,
            "regurgitation_forget_task2": 4 / 9,
            "regurgitation_forget_task3": 0.6,
            "knowledge_forget_task1": 0.5,
            "knowledge_forget_task2": 0.5,
            "knowledge_forget_task3": 0.0,
            "regurgitation_retain_task1": 5 / 7,
            "regurgitation_retain_task2": 1.0,
            "regurgitation_retain_task3": 0.75,
            "knowledge_retain_task1": 1.0,
            "knowledge_retain_task2": 0.5,
            "knowledge_retain_task3": 1.0,
        }
    )
    twice = scores_of(log + [row | {"id": row["id"] + "-again"} for row in log if "generation" in row])
    assert twice["task_aggregate"] == pytest.approx(found["task_aggregate"])
    assert twice["task_aggregate_low"] < found["task_aggregate"] < twice["task_aggregate_high"]
    spoken = SCORING.said(pd.DataFrame(log, columns=SCHEMA.names))
    assert len(spoken) == 15 and spoken["score"].tolist()[:2] == [1.0, 0.0]
