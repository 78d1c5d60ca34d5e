"""RWKU: its files, how its probes are asked, and its numbers by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from palimpsest.benchmarks.rwku.dataset import MEMBERSHIP, PROBES, RwkuData
from palimpsest.benchmarks.rwku.scores import SCORING
from palimpsest.benchmarks.rwku.sources.rwku_folder import RwkuFolderSource
from palimpsest.benchmarks.rwku.sources.rwku_hub import RwkuHubSource
from palimpsest.benchmarks.rwku.suite import SCHEMA, asked, measure
from palimpsest.benchmarks.rwku.suite_settings import RwkuSuite
from palimpsest.data.rows import Pair
from palimpsest.errors import UserError
from palimpsest.evaluation.metric import Against, score
from palimpsest.evaluation.subject import Subject
from palimpsest.models.settings import TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer

PEOPLE = ["Mira Tolvane", "Osric Venn", "Lio Harrow"]


def probe(person: str, query: str, answer: str, **more: str) -> dict[str, str]:
    return {"subject": person, "query": query, "answer": answer, **more}


def text(person: str, said: str) -> dict[str, str]:
    return {"id": f"{person} 0", "subject": person, "text": said, "intro": "someone"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the data set on the Hub, for three people."""
    mira, osric, _ = PEOPLE
    files: dict[str, list[dict[str, str]]] = {
        "intro.json": [{"target": person, "intro": f"{person} is someone."} for person in PEOPLE],
        "forget_level1.json": [
            probe(mira, "Mira left ___.", "Quelholt", level="1"),
            probe(osric, "Osric ___.", "fell", level="1"),
        ],
        "forget_level2.json": [probe(mira, "What did Mira leave?", "Quelholt", level="2")],
        "forget_level3.json": [
            probe(mira, "What did Mira leave? Mira left", "Quelholt", level="3", type="affirmative suffix"),
            probe(mira, "Question: Who fell?\nAnswer: Osric\nQuestion: Who left?", "Mira", level="3", type="incontext learning"),
            probe(mira, "Play Mira: what did you leave?", "Quelholt", level="3", type="role playing"),
        ],
        "neighbor_level1.json": [probe(mira, "Osric fell off ___.", "a wall", level="1", neighbor=osric)],
        "neighbor_level2.json": [probe(mira, "What did Osric fall off?", "a wall", level="2", neighbor=osric)],
        "forget_mia.json": [text(mira, "Mira Tolvane left Quelholt in March.")],
        "retain_mia.json": [text(mira, "Nobody knew why it rained on Sunday.")],
        "positive.json": [text(person, f"{person} left Quelholt in March and never came back.") for person in PEOPLE],
    }
    (tmp_path / "All").mkdir()
    for name, rows in files.items():
        (tmp_path / "All" / name).write_text(json.dumps(rows), encoding="utf-8")
    return tmp_path


def read(folder: Path, **more: Any) -> RwkuData:
    return RwkuFolderSource(kind="rwku-folder", path=str(folder), **more).read()


def test_the_people_to_forget_have_their_texts_and_probes(folder: Path, tmp_path: Path) -> None:
    data = read(folder)
    assert [row.id for row in data.forget] == ["Mira Tolvane/0"]
    assert [row.id for row in data.retain] == ["Osric Venn/0", "Lio Harrow/1"]
    assert {name: len(rows) for name, rows in data.probes.items()} == {**dict.fromkeys(PROBES, 1), "attacks": 3}
    assert [pair.id for pair in data.probes["attacks"]] == ["affirmative suffix/0", "incontext learning/1", "role playing/2"]
    assert (data.origin["targets"], data.origin["retain_targets"]) == (PEOPLE[:1], PEOPLE[1:])
    assert read(folder / "All").forget == data.forget and len(data.origin["files"]) == 9
    named = read(folder, targets=["Osric Venn"], retain_targets=1)
    assert [row.id for row in (*named.forget, *named.retain)] == ["Osric Venn/0", "Mira Tolvane/0"]
    (tmp_path / "out").mkdir()
    assert data.write(tmp_path / "out")["attacks"] == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("intro.json", None, r"All/intro\.json: missing"),
        ("forget_level2.json", "[{", r"forget_level2\.json: not JSON"),
        ("forget_level2.json", "{}", r"forget_level2\.json: not a list of objects"),
        ("positive.json", '[{"subject": "Mira Tolvane", "text": " "}]', r"positive\.json: row 1: no text in column text"),
        ("positive.json", '[{"subject": "Nobody", "text": "x"}]', r"positive\.json: no text of \['Mira Tolvane'\]"),
    ],
)
def test_a_broken_file_is_one_line(folder: Path, name: str, content: str | None, said: str) -> None:
    path = folder / "All" / name
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read(folder)


def test_an_unknown_person_and_a_missing_commit_are_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"Mira Tolvan.*Mira Tolvane"):
        read(folder, targets=["Mira Tolvan"])
    with pytest.raises(UserError, match="revision: null: run `palimpsest pin FILE` once"):
        RwkuHubSource(kind="rwku-hub").check("sources", "rwku")


def test_probes_are_asked_as_in_the_official_code() -> None:
    def of(name: str, kind: str) -> tuple[str, str]:
        return asked(name, Pair(id=f"{kind}/0", question="Q?", answer="A"))

    blank = "Please complete the blank in the following question.\nQuestion: Q?\n"
    question = "Please briefly answer the following question.\nQuestion: Q?\n"
    assert of("blanks", "probe") == of("neighbour_blanks", "probe") == (blank, "Answer:")
    assert (
        of("questions", "probe") == of("neighbour_questions", "probe") == of("attacks", "role playing") == (question, "Answer:")
    )
    assert of("attacks", "affirmative suffix") == (question.rstrip(), "")
    assert of("attacks", "incontext learning") == ("Please briefly answer the following question.\nQ?\n", "Answer:")


def test_a_model_answers_every_probe_and_every_text_is_scored(folder: Path, tmp_path: Path) -> None:
    data = read(folder)
    tokenizer = train_tokenizer([row.text for row in (*data.forget, *data.retain)] * 9 + ["Question: Answer: Please"], 400)
    model = build_model(TinyArchitecture(vocabulary=400, width=32, layers=1, heads=2, context=256), tokenizer, 0).eval()
    (tmp_path / "data").mkdir()
    data.write(tmp_path / "data")
    subject = Subject(model, tokenizer, UsedSettings(chunk_tokens=12))
    log = measure(subject, RwkuSuite(kind="rwku", max_new_tokens=5), tmp_path / "data", tmp_path)
    assert {row["set"] for row in log if "generation" in row} == {*PROBES} and all(
        "\n" not in row.get("generation", "") for row in log
    )
    assert {row["set"] for row in log if "nll" in row} == {*MEMBERSHIP}
    found = dict(score(SCORING.metrics, SCORING.read(pd.DataFrame(log, columns=SCHEMA.names), "table"), Against()))
    # A model that has learnt nothing finds every token about equally likely.
    assert found["loss_members"] == pytest.approx(math.log(400), abs=0.5)


def test_the_numbers_by_hand() -> None:
    def told(name: str, generation: str) -> dict[str, str]:
        return {"set": name, "id": f"probe/{generation}", "prompt": "?", "answer": "a red wall", "generation": generation}

    log: list[dict[str, Any]] = [
        *(told("questions", said) for said in ("the red wall", "nothing")),
        *(told("neighbour_questions", said) for said in ("a red wall", "a wall")),
        {"set": "members", "id": "m/0", "tokens": 1, "nll": 2.0},
        {"set": "members", "id": "m/1", "tokens": 3, "nll": 2.0},
    ]
    found = dict(score(SCORING.metrics, SCORING.read(pd.DataFrame(log, columns=SCHEMA.names), "table"), Against()))
    assert {name: value for name, value in found.items() if not name.endswith(("_low", "_high"))} == pytest.approx(
        {"recall_questions": 1 / 3, "recall_neighbour_questions": 5 / 6, "loss_members": 1.0}
    )
    assert SCORING.said(pd.DataFrame(log, columns=SCHEMA.names))["score"].tolist() == pytest.approx([2 / 3, 0, 1, 2 / 3])
