"""Texts through the stages' command lines: what is watched is what is trained and evaluated, and chunks have names."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_stages import TRAINING, log_lines, seal, succeed, table

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.data.prompts import PromptEncoder
from palimpsest.data.rows import Excerpt, Pair, Text
from palimpsest.models.loading import load_tokenizer
from palimpsest.models.settings import PromptSettings
from palimpsest.provenance.manifest import read_manifest, read_remarks

TINY = {"kind": "tiny", "architecture": {"vocabulary": 300, "width": 32, "layers": 2, "heads": 2}, "base_training": TRAINING}
USED = {"chunk_tokens": 16}
SUITE = {"kind": "muse", "verbatim_tokens": 6, "knowledge_tokens": 6, "max_items": 3}
UNLEARN = {**TRAINING, "epochs": 3, "batch_size": 2, "warmup_epochs": 0}
TOLD = "the old mill by the river was sold and burnt before a baker built it again"


def texts(name: str, count: int) -> list[Text]:
    words = TOLD.split(" ")
    return [
        Text(id=f"{name}-{number}", text=" ".join([name, str(number), *words[number % 5 :], *words[: 3 * number]]) + ".")
        for number in range(count)
    ]


def pairs(name: str, count: int) -> list[Pair]:
    return [Pair(id=f"{name}-{number}", question=f"Who built {name} {number}?", answer="a baker") for number in range(count)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of texts and an original of them, made once."""
    root = tmp_path_factory.mktemp("texts")
    forget, holdout = texts("forget", 4), texts("holdout", 4)
    data = MuseData(
        forget=forget,
        retain=texts("retain", 4),
        kept=texts("kept", 2),
        holdout=holdout,
        verbatim=[Excerpt(id=text.id, prompt=text.text[:20], continuation=text.text[20:]) for text in forget],
        knowledge_forget=pairs("mill", 4),
        examples_forget=pairs("house", 1),
        knowledge_retain=pairs("barn", 2),
        examples_retain=pairs("house", 1),
        members=forget,
        nonmembers=holdout,
        origin={},
        base=texts("base", 8),
    )
    (root / "data").mkdir()
    data.write(root / "data")
    seal(root / "data")
    succeed(root, "base", {"model": TINY | USED}, {"data": "data"}, "base")
    spec = {"role": "original", "seed": 0, "training": TRAINING, "model": USED}
    succeed(root, "finetune", spec, {"base": "base", "split": "data"}, "original")
    return root


def test_a_trajectory_of_texts_watches_the_training_that_unlearn_does(root: Path) -> None:
    inputs = {"model": "original", "split": "data"}
    succeed(root, "reference", {"model": USED, "random_share": 0.0, "seed": 0, "refusals": False}, inputs, "reference")
    inputs["reference"] = "reference"
    spec: dict[str, Any] = {"method": "npo", "seed": 0, "training": UNLEARN, "loss": {"beta": 0.1}, "model": USED}
    succeed(root, "unlearn", spec, inputs, "npo")
    succeed(root, "unlearn", spec | {"watched": {"suite": SUITE, "epochs": "all"}}, inputs, "watched")
    succeed(root, "evaluate", {"suite": SUITE, "model": USED}, {"model": "npo", "split": "data"}, "eval")
    items = table(root / "watched" / "items.parquet")
    finished = table(root / "eval" / "items.parquet")
    # The sets of the data, three items of each at most, whatever is forgotten.
    named = [(name, "forget") for name in ("verbatim", "members")] + [("nonmembers", "holdout"), ("knowledge_forget", "mill")]
    for name, prefix in named:
        assert [row["id"] for row in finished if row["set"] == name] == [f"{prefix}-{number}" for number in range(3)]
    assert [row["id"] for row in finished if row["set"] == "knowledge_retain"] == ["barn-0", "barn-1"]
    assert {row["epoch"] for row in items} == {0, 1, 2, 3}
    assert [row for row in items if row["epoch"] == 3] == [{"epoch": 3, **row} for row in finished]
    assert log_lines(root / "watched") == log_lines(root / "npo")

    moved = {(row["epoch"], row["set"]): row["kl"] for row in table(root / "watched" / "divergence.parquet")}
    assert list(moved) == [(epoch, name) for epoch in range(4) for name in ("forget", "retain")]
    assert moved[0, "forget"] == moved[0, "retain"] == 0
    assert 0 < moved[1, "forget"] < moved[3, "forget"]

    weights = table(root / "watched" / "weights.parquet")
    chunks = {row["id"]: row["tokens"] for row in weights}
    forgotten = {id.rpartition("/")[0] for id in chunks}
    assert forgotten == {f"forget-{n}" for n in range(4)}
    assert {"forget-3/0", "forget-3/1"} <= set(chunks) and chunks["forget-3/0"] == USED["chunk_tokens"] - 1
    for epoch in (1, 2, 3):
        assert sorted(row["id"] for row in weights if row["epoch"] == epoch) == sorted(chunks)
    read = {row["id"]: row["tokens"] for row in finished if row["set"] == "members"}
    for id, tokens in read.items():
        assert sum(count for chunk, count in chunks.items() if chunk.startswith(f"{id}/")) == tokens


def test_a_beta_too_large_for_long_chunks_is_remarked_in_the_manifest(root: Path) -> None:
    """NPO sums over the tokens of a chunk, so its weights vanish the earlier the larger beta is."""
    spec = {"model": USED, "random_share": 0.0, "seed": 0, "refusals": False}
    succeed(root, "reference", spec, {"model": "original", "split": "data"}, "plain")
    inputs = {"model": "original", "split": "data", "reference": "plain"}
    # The texts of this retain set would teach again what is forgotten.
    training = UNLEARN | {"retain_loss": "none", "learning_rate": 0.03}
    told = {}
    for beta in (0.001, 100.0):
        spec = {"method": "npo", "seed": 0, "training": training, "loss": {"beta": beta}, "model": USED}
        succeed(root, "unlearn", spec, inputs, f"beta-{beta}")
        told[beta] = [remark.text for remark in read_remarks(read_manifest(root / f"beta-{beta}" / "manifest.json"))]
    assert told[0.001] == []
    (text,) = told[100.0]
    assert text.startswith("npo: ") and "the rest of the training forgets almost nothing" in text


def test_an_attack_on_a_corpus_relearns_chunks_and_is_measured_by_the_suite(root: Path) -> None:
    how = {"kind": "relearn", "select": "shortest", "fraction": 0.8, "training": {**UNLEARN, "epochs": 2}}
    spec = {"kind": "muse", "attack": how, "suite": SUITE, "seed": 0, "model": USED}
    inputs = {"model": "original", "split": "data"}
    succeed(root, "attack", spec, inputs, "attacked")
    rows = table(root / "attacked" / "items.parquet")
    assert {(row["draw"], row["epoch"]) for row in rows} == {(0, 0), (0, 1), (0, 2)}
    succeed(root, "evaluate", {"suite": SUITE, "model": USED}, inputs, "before")
    before = table(root / "before" / "items.parquet")
    assert [row for row in rows if row["epoch"] == 0] == [{"draw": 0, "epoch": 0, **row} for row in before]

    def loss(epoch: int) -> float:
        return sum(sum(row["losses"]) for row in rows if row["set"] == "members" and row["epoch"] == epoch)

    assert loss(2) < loss(1) < loss(0)
    # The last chunks of the texts are the shortest.
    (drawn,) = json.loads((root / "attacked" / "draws.json").read_text())
    tokenizer, chunks = load_tokenizer(root / "original"), {}
    for text in texts("forget", 4):
        encoded = PromptEncoder(tokenizer, PromptSettings()).chunks(text.text, USED["chunk_tokens"])
        chunks |= {f"{text.id}/{number}": len(chunk.answers[0]) for number, chunk in enumerate(encoded)}
    assert len(drawn) == round(0.8 * len(chunks)) and set(drawn) < chunks.keys()
    assert max(chunks[name] for name in drawn) <= min(length for name, length in chunks.items() if name not in drawn)
