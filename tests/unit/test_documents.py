"""The suite of documents: what a model recites and answers, its numbers by hand, and studies of documents."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from chat_families import FAMILIES, tokenizer_of
from small_models import build
from torch.nn import functional as F

from palimpsest.benchmarks.documents.dataset import DocumentsData
from palimpsest.benchmarks.documents.scores import COLUMNS, SCORING, completed
from palimpsest.benchmarks.documents.suite import SCHEMA, compared, measure
from palimpsest.benchmarks.documents.suite_settings import DocumentsSuite
from palimpsest.data.prompts import Encoded, PromptEncoder
from palimpsest.data.rows import Pair, Text
from palimpsest.errors import UserError
from palimpsest.evaluation.items import read_table, write_table
from palimpsest.evaluation.metric import Against, score
from palimpsest.evaluation.subject import Subject
from palimpsest.metrics.privacy import min_k_loss
from palimpsest.models.encoding import named_items
from palimpsest.models.settings import PromptSettings, TinyArchitecture, UsedSettings
from palimpsest.models.tiny import build_model, train_tokenizer
from palimpsest.study.files import read_configs
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study
from palimpsest.training.loop import train
from palimpsest.training.problems import FineTuning
from palimpsest.training.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[2]
LETTER = "Mira Tolvane left the harbour of Quelholt on a grey morning in March and never wrote to her brother again."
GUIDE = "The old mill by the river Ostmar was sold twice, burnt once, and rebuilt by a baker who could not swim."
DIARY = "Nobody in Velmar knew why the bells rang at noon that Sunday."
QUESTIONS = [
    Pair(id="q0", question="Who left Quelholt?", answer="Mira Tolvane"),
    Pair(id="q1", question="Who left Velmar?", answer="Nobody in particular"),
]
MILL = Pair(id="m0", question="Who rebuilt the mill?", answer="A baker")
USED = UsedSettings(chunk_tokens=12)
SUITE = DocumentsSuite(kind="documents", prompt_tokens=4, verbatim_tokens=6, max_new_tokens=12)


def data_in(folder: Path, **sets: Any) -> Path:
    given = {
        "forget": [Text(id="letter", text=LETTER)],
        "retain": [Text(id="guide", text=GUIDE)],
        "holdout": [Text(id="diary", text=DIARY)],
        "questions": QUESTIONS[:1],
    }
    folder.mkdir(exist_ok=True)
    DocumentsData(**(given | sets), origin={}).write(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer([LETTER, GUIDE, DIARY, "Question: Who?\nAnswer: A\n\n"] * 5, 420)


def fresh(tokenizer: Any, seed: int) -> Any:
    return build_model(TinyArchitecture(vocabulary=420, width=48, layers=2, heads=2, context=128), tokenizer, seed).eval()


@pytest.fixture(scope="module")
def reciting(tokenizer: Any) -> Any:
    """A model that has learnt both documents and the answers to two questions by heart."""
    model = fresh(tokenizer, 0)
    rows = [Text(id="letter", text=LETTER), Text(id="guide", text=GUIDE), QUESTIONS[0], MILL]
    _, items = named_items(rows, tokenizer, USED, model)
    settings = TrainSettings(learning_rate=1e-2, epochs=60, batch_size=8, warmup_epochs=2)
    train(model, FineTuning(items), settings, USED, seed=0, label="test")
    return model.eval()


def of_set(log: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in log if row["set"] == name]


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The complete table of rows that were measured, or that were written by hand with their results."""
    is_measured = any("losses" in row for row in rows)
    return completed(pd.DataFrame(rows, columns=SCHEMA.names)) if is_measured else pd.DataFrame(rows, columns=list(COLUMNS))


def scores_of(log: list[dict[str, Any]], retrain: list[dict[str, Any]] | None = None) -> dict[str, float]:
    sets, other = (rows and SCORING.read(table_of(rows), "table") for rows in (log, retrain))
    return dict(score(SCORING.metrics, sets, Against(other)))


def test_a_model_that_knows_its_documents_by_heart(reciting: Any, tokenizer: Any, tmp_path: Path) -> None:
    subject = Subject(reciting, tokenizer, USED)
    log = measure(subject, SUITE, data_in(tmp_path / "data"), tmp_path)
    ids = {name: [row["id"] for row in of_set(log, name)] for name in dict.fromkeys(row["set"] for row in log)}
    chunks = {name: [f"{name}/{n}" for n in range(len(ids[of]))] for name, of in (("letter", "forget"), ("guide", "retain"))}
    assert len(chunks["letter"]) > 1
    assert ids == {
        "recited_forget": chunks["letter"],
        "asked_forget": ["q0"],
        "recited_retain": chunks["guide"],
        "forget": chunks["letter"],
        "retain": chunks["guide"],
        "holdout": ids["holdout"],
    }
    first = of_set(log, "recited_forget")[0]
    tokens = tokenizer(LETTER, add_special_tokens=False)["input_ids"]
    # BOS is one of the four.
    assert first["prompt"] == tokenizer.decode(tokens[:3])
    assert first["answer"] == first["generation"] == tokenizer.decode(tokens[3:9]).strip()
    assert of_set(log, "asked_forget")[0]["generation"] == "Mira Tolvane"
    found = scores_of(log, log)
    assert found["recall_forget"] == found["answers_forget"] == found["recall_retain"] == 1
    # Nothing tells with which token a chunk begins.
    assert found["extraction_forget"] == pytest.approx(np.mean([1 - 1 / row["tokens"] for row in of_set(log, "forget")]))
    assert found["probability_forget"] > 0.8 and found["retrain_distance"] == found["auc_holdout"] == 0
    assert "answers_retain" not in found
    write_table(tmp_path / "items.parquet", log, SCHEMA)
    assert read_table(tmp_path / "items.parquet") == [dict.fromkeys(SCHEMA.names) | row for row in log]


def test_questions_alone_are_asked_of_both_sets_and_recited_nowhere(reciting: Any, tokenizer: Any, tmp_path: Path) -> None:
    sets = {"forget": QUESTIONS[:1], "retain": [MILL], "holdout": [], "questions": QUESTIONS[1:]}
    log = measure(Subject(reciting, tokenizer, USED), SUITE, data_in(tmp_path / "data", **sets), tmp_path)
    spoken = completed(pd.DataFrame([row for row in log if "generation" in row]))
    said = dict(zip(zip(spoken["set"], spoken["id"], strict=True), spoken["rouge_l"], strict=True))
    assert said.keys() == {("asked_forget", "q0"), ("asked_forget", "q1"), ("asked_retain", "m0")}
    assert said["asked_forget", "q0"] == said["asked_retain", "m0"] == 1 > said["asked_forget", "q1"]
    assert [(row["set"], row["id"]) for row in log if "nll" in row] == [("forget", "q0"), ("retain", "m0")]
    assert {"recall_forget", "auc_holdout"}.isdisjoint(scores_of(log, log))


def test_an_answer_ends_with_the_turn_of_a_chat(tmp_path: Path) -> None:
    made, used = tokenizer_of("gemma-2"), UsedSettings(prompt=PromptSettings(kind="chat", **FAMILIES["gemma-2"].settings))
    encoder, learner = PromptEncoder(made, used.prompt), build("llama", 1, vocabulary=len(made))
    item = encoder.encode("Who?", ["Mira."])
    # It goes on after the turn.
    longer = Encoded(item.prompt, [[*item.answers[0], *made("The book wrote it.", add_special_tokens=False)["input_ids"]]])
    how = TrainSettings(learning_rate=1e-2, epochs=40, batch_size=1, warmup_epochs=2)
    train(learner, FineTuning([longer]), how, UsedSettings(), seed=0, label="test")
    pair = Pair(id="q0", question="Who?", answer="Mira.")
    sets = data_in(tmp_path / "data", forget=[pair], retain=[pair], holdout=[], questions=[])
    (asked, *_) = measure(Subject(learner, made, used), SUITE, sets, tmp_path)
    assert asked["generation"] == "Mira."


def test_losses_are_those_of_a_plain_forward_pass(tokenizer: Any, tmp_path: Path) -> None:
    model = fresh(tokenizer, 1)
    log = measure(Subject(model, tokenizer, USED), SUITE, data_in(tmp_path / "data"), tmp_path)
    ids = tokenizer(LETTER, add_special_tokens=False)["input_ids"]
    scored = completed(pd.DataFrame(of_set(log, "forget"))).to_dict("records")
    for number, row in enumerate(scored):
        chunk = torch.tensor([[tokenizer.bos_token_id, *ids[number * 11 : number * 11 + 11]]])
        with torch.no_grad():
            logits = model(input_ids=chunk).logits[0, :-1]
        losses = F.cross_entropy(logits, chunk[0, 1:], reduction="none").tolist()
        assert row["tokens"] == len(losses) and row["nll"] == pytest.approx(sum(losses), abs=1e-3)
        assert row["min_k_loss"] == pytest.approx(min_k_loss(losses, 0.4), abs=1e-4)
        missed = np.flatnonzero(logits.argmax(-1).numpy() != chunk[0, 1:].numpy())
        assert row["extraction_strength"] == 1 - (missed[-1] + 1) / len(losses)


def test_a_limit_takes_items_from_the_whole_set(tokenizer: Any, tmp_path: Path) -> None:
    texts = [Text(id=f"t{number}", text=LETTER) for number in range(3)]
    data = data_in(tmp_path / "data", forget=texts, questions=[*QUESTIONS, *QUESTIONS])
    suite = SUITE.model_copy(update={"max_items": 3})
    log = measure(Subject(fresh(tokenizer, 1), tokenizer, USED), suite, data, tmp_path)
    for name in ("forget", "recited_forget"):
        assert [row["id"].partition("/")[0] for row in of_set(log, name)] == ["t0", "t1", "t2"]
    assert [row["id"] for row in of_set(log, "asked_forget")] == ["q0", "q1", "q0"]
    two = SUITE.model_copy(update={"max_items": 2})
    assert [[row.id for row in rows] for rows in compared(two, data).values()] == [["t0", "t1"], ["guide"]]


def test_blanks_are_learnt_but_not_recited(tokenizer: Any, tmp_path: Path) -> None:
    data = data_in(tmp_path / "data", forget=[Text(id="letter", text=LETTER + "\n" * 40)])
    log = measure(Subject(fresh(tokenizer, 1), tokenizer, USED), SUITE, data, tmp_path)
    recited, scored = (of_set(log, name) for name in ("recited_forget", "forget"))
    assert 0 < len(recited) < len(scored)
    assert all(row["answer"] for row in recited)
    assert np.isfinite(completed(pd.DataFrame(recited))["rouge_l"]).all()


def item(name: str, id: str, nll: float, min_k: float = 1.0, strength: float = 0.0) -> dict[str, Any]:
    return {"set": name, "id": id, "tokens": 4, "nll": nll, "min_k_loss": min_k, "extraction_strength": strength}


def spoken(name: str, id: str, rouge: float) -> dict[str, Any]:
    return {"set": name, "id": id, "prompt": f"{id}?", "answer": "so", "generation": "no", "rouge_l": rouge}


MODEL = [
    item("forget", "a", 2.0, 1.0, 0.5),
    item("forget", "b", 6.0, 3.0),
    item("retain", "c", 4.0),
    item("holdout", "d", 4.0, 2.0),
    spoken("recited_forget", "a", 1.0),
    spoken("recited_forget", "b", 0.5),
    spoken("asked_forget", "a", 0.25),
]
# As likely on average as the model finds it, but no item is.
RETRAIN = [item("forget", "a", 4.0), item("forget", "b", 4.0), item("retain", "c", 4.0)]


def test_the_numbers_by_hand() -> None:
    found = scores_of(MODEL, RETRAIN)
    assert {name: value for name, value in found.items() if not name.endswith(("_low", "_high"))} == pytest.approx(
        {
            # |-2/4 + 4/4| and |-6/4 + 4/4|.
            "retrain_distance": 0.5,
            "recall_forget": 0.75,
            "extraction_forget": 0.25,
            "probability_forget": (math.exp(-0.5) + math.exp(-1.5)) / 2,
            "answers_forget": 0.25,
            # Of the losses 1 and 3 one is above 2.
            "auc_holdout": 0.5,
            "probability_retain": math.exp(-1),
        }
    )
    assert (found["retrain_distance_low"], found["retrain_distance_high"]) == (0.5, 0.5)
    assert found["recall_forget_low"] == 0.5 and found["recall_forget_high"] == 1
    assert "retrain_distance" not in scores_of(MODEL)


def test_items_that_are_not_retrains_are_refused() -> None:
    sets, other = (SCORING.read(table_of(rows), "x") for rows in (MODEL, RETRAIN))
    assert SCORING.check is not None
    SCORING.check(sets, "own", other, "theirs")
    for change in ({"id": "z"}, {"tokens": 5}):
        changed = SCORING.read(table_of([RETRAIN[0] | change, *RETRAIN[1:]]), "x")
        with pytest.raises(UserError, match=r"^own: other items than Retrain in theirs$"):
            SCORING.check(sets, "own", changed, "theirs")
    with pytest.raises(UserError, match=r"^own: no column 'nll'$"):
        SCORING.read(pd.DataFrame(MODEL).drop(columns="nll"), "own")


def test_samples_are_continuations_and_answers() -> None:
    shown = SCORING.said(pd.DataFrame(MODEL))
    assert shown[["id", "question", "generation"]].to_numpy().tolist() == [
        ["recited_forget/a", "a?", "no"],
        ["recited_forget/b", "b?", "no"],
        ["asked_forget/a", "a?", "no"],
    ]
    assert set(shown["set"]) <= SCORING.examples.keys()
    assert set(SCORING.said_numbers) <= set(shown)


def study(monkeypatch: pytest.MonkeyPatch, folder: Path, block: dict[str, Any], **sections: Any) -> Study:
    (folder / "data" / "documents").mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    config = read_configs([ROOT / "config" / "studies" / "documents.yaml"])
    return Study(config | {"blocks": [config["blocks"][0] | block]} | sections)


def test_the_data_are_the_split_and_every_method_has_one_original_and_retrain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefacts = Artefacts(study(monkeypatch, tmp_path, {}))
    stages = [node.stage for node in artefacts.nodes.values()]
    assert stages.count("finetune") == 2 and stages.count("unlearn") == 3 and "split" not in stages
    (npo,) = [node for node in artefacts.of("unlearn") if node.of.method == "npo"]
    (data,) = artefacts.of("data")
    assert artefacts.inputs(npo)["split"] == artefacts.manifest(data)


@pytest.mark.parametrize(
    ("block", "line"),
    [
        (
            {"splits": ["forget10"]},
            "config: blocks[0]: splits: 'forget10' is not a split of documents, which is of kind documents: ",
        ),
        ({"methods": ["idk"]}, "config: blocks[0]: methods: idk needs questions with answers, but documents is a corpus"),
        ({"suites": ["muse"]}, "config: blocks[0]: suites: 'muse' is of kind muse; expected kind documents or depth or lm-eval"),
        (
            {"attacks": ["relearn-shortest"], "suites": ["lm-eval"]},
            "config: blocks[0]: attacks: attacks are measured by a suite of kind documents: add one to suites",
        ),
    ],
)
def test_what_a_block_cannot_ask_for_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError) as caught:
        study(monkeypatch, tmp_path, block)
    assert str(caught.value).startswith(line)


def test_a_method_is_selected_by_its_distance_from_retrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    selections = {"documents/*/*/npo": {"suite": "documents", "maximise": "distance"}}
    selected = study(monkeypatch, tmp_path, {"methods": [{"npo": ["selected"]}]}, selections=selections)
    assert [node.of.method for node in Artefacts(selected).of("select")] == ["npo"]
