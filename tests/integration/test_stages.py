"""The contract of a stage, through its command line: faults are one line and exit 2, an interrupted run continues."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from extending import install, shown
from judge_server import Answer, reply, serving
from safetensors.torch import load_file, save_file

import forked
from caught import catches_sigterm
from palimpsest.benchmarks.tofu import losses as tofu_losses
from palimpsest.contract.job import Job
from palimpsest.data.rows import read_lessons
from palimpsest.models import encoding
from palimpsest.models.loading import load_model, load_tokenizer, save_model
from palimpsest.models.settings import UsedSettings
from palimpsest.provenance.digest import code_closure
from palimpsest.provenance.manifest import MANIFEST, build_manifest, write_manifest
from palimpsest.stages import attack as attack_stage

SRC = Path(__file__).parents[2] / "src"
WORLD = {"kind": "world", "authors": 10, "questions_per_author": 4, "base_authors": 6, "real_authors": 4, "world_facts": 4}
TRAINING = {"learning_rate": 0.003, "epochs": 2, "batch_size": 8, "tokens_per_pass": 256}
TINY = {"kind": "tiny", "architecture": {"vocabulary": 400, "width": 32, "layers": 2, "heads": 2}, "base_training": TRAINING}


def command(root: Path, stage: str, spec: Any, inputs: dict[str, str], out: str) -> list[str]:
    text = spec if isinstance(spec, str) else json.dumps(spec)
    given = [f"--in={name}={root / path}/manifest.json" for name, path in inputs.items()]
    return ["-m", f"palimpsest.stages.{stage}", "--spec", text, *given, "--out", f"{root / out}/manifest.json"]


def environment(root: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1", "PALIMPSEST_SCRATCH": str(root / "scratch"), **more}


def run(root: Path, *args: Any) -> subprocess.CompletedProcess[str]:
    return forked.run(command(root, *args), environment(root))


def run_alone(root: Path, *args: Any) -> subprocess.CompletedProcess[str]:
    """The same by a Python of its own."""
    line = [sys.executable, *command(root, *args)]
    return subprocess.run(line, env=environment(root), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


def succeed(root: Path, *args: Any) -> None:
    done = run(root, *args)
    assert done.returncode == 0, done.stdout


def kill_when_there_is(pattern: str, root: Path, *args: Any, **more: str) -> None:
    """Start a stage, and kill it when its scratch folder holds something of that name."""
    process = forked.start(command(root, *args), environment(root, **more))
    deadline = time.monotonic() + 200
    while not list((root / "scratch").glob(f"*/{pattern}")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    assert process.kill() == -signal.SIGKILL


def reference(root: Path, model: str, share: float = 0.0, out: str = "reference", seed: int = 0) -> None:
    spec = {"model": {}, "random_share": share, "seed": seed, "refusals": True}
    succeed(root, "reference", spec, {"model": model, "split": "split"}, out)


def finetune(epochs: int = 2) -> tuple[Any, ...]:
    spec = {"role": "original", "seed": 0, "training": {**TRAINING, "epochs": epochs}, "model": {}}
    return "finetune", spec, {"base": "base", "split": "split"}, "original"


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a split and a base model, made once."""
    root = tmp_path_factory.mktemp("artefacts")
    for args in (
        ("data", {"source": WORLD}, {}, "data"),
        ("split", {"kind": "tofu", "split": "forget10", "settings": {}}, {"data": "data"}, "split"),
        ("base", {"model": TINY}, {"data": "data"}, "base"),
    ):
        succeed(root, *args)
    return root


@pytest.fixture(scope="session")
def started(artefacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an original, its log-probabilities and its reinforced model, made once."""
    root = Path(shutil.copytree(artefacts, tmp_path_factory.mktemp("started") / "copy"))
    succeed(root, *finetune())
    reference(root, "original")
    _, spec, _, _ = finetune()
    reinforce = {name: spec[name] for name in ("seed", "training", "model")}
    succeed(root, "reinforce", reinforce, {"model": "original", "split": "split"}, "reinforced")
    return root


@pytest.fixture
def ready(started: Path, tmp_path: Path) -> Path:
    """A copy of all that unlearning reads, which a test may break."""
    return Path(shutil.copytree(started, tmp_path / "ready"))


@pytest.fixture
def root(artefacts: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(artefacts, tmp_path / "copy"))


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("palimpsest ")]
    assert len(lines) == 1 and "Traceback" not in done.stdout
    return lines[0]


def test_a_corrupted_input_names_the_file_and_both_hashes(root: Path) -> None:
    weights = root / "base" / "model.safetensors"
    wanted = json.loads((root / "base" / "manifest.json").read_text())["files"]["model.safetensors"]["sha256"]
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    line = one_line(run(root, *finetune()))
    assert str(weights) in line and wanted in line
    assert not (root / "original").exists()


def test_a_missing_input_file_is_named(root: Path) -> None:
    (root / "split" / "retain.jsonl").unlink()
    assert "retain.jsonl: missing" in one_line(run(root, *finetune()))


def test_a_missing_artefact_is_named(root: Path) -> None:
    shutil.rmtree(root / "split")
    assert "split/manifest.json: there is no manifest" in one_line(run(root, *finetune()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epohcs": 3}, "training.epohcs"),
        ({"learning_rate": "1e-5"}, "training.learning_rate"),
        ({"epochs": 0}, "training.epochs"),
    ],
)
def test_a_wrong_spec_is_refused_before_any_work(root: Path, change: dict[str, Any], said: str) -> None:
    stage, spec, inputs, out = finetune()
    line = one_line(run(root, stage, {**spec, "training": {**spec["training"], **change}}, inputs, out))
    assert said in line
    assert not (root / "original").exists()


def test_a_spec_that_is_no_json_is_refused(root: Path) -> None:
    assert "not JSON" in one_line(run(root, "finetune", "{role: original}", {"base": "base", "split": "split"}, "original"))


def test_a_model_without_one_of_its_weights_is_refused_where_it_is_fetched(root: Path) -> None:
    weights = load_file(root / "base" / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, root / "base" / "model.safetensors", metadata={"format": "pt"})
    line = one_line(run(root, "base", {"model": {"kind": "pretrained", "name": str(root / "base")}}, {}, "fetched"))
    reason = "the model lacks weights, which would be random: model.layers.1.mlp.down_proj.weight"
    assert line == f"palimpsest base: models: {str(root / 'base')!r}: {reason}"
    assert not (root / "fetched").exists()


def test_what_later_stages_ask_of_a_model_is_looked_for_before_its_base_is_made(root: Path) -> None:
    fetched = {"kind": "pretrained", "name": str(root / "base")}
    for model, inputs in ((fetched, {}), (TINY, {"data": "data"})):
        for needs, reason in (
            ({"chat": {"kind": "chat"}}, "has no chat template, which `kind: chat` needs"),
            ({"lora_targets": ["q_proj", "c_attn"]}, "lora: target_modules: the model has no layer 'c_attn'"),
        ):
            assert reason in one_line(run(root, "base", {"model": model, "needs": needs}, inputs, "made"))
    succeed(root, "base", {"model": fetched, "needs": {"lora_targets": ["q_proj"]}}, {}, "made")
    assert stored(root / "made").keys() == stored(root / "base").keys()


def test_an_item_that_is_too_long_is_named_before_any_training(root: Path) -> None:
    architecture = {**TINY["architecture"], "context": 24}
    line = one_line(run(root, "base", {"model": {**TINY, "architecture": architecture}}, {"data": "data"}, "short"))
    assert re.fullmatch(r"palimpsest base: base-\d+-\d+-\w+: \d+ tokens to read, but the model has 24 positions", line), line
    config = json.loads((root / "base" / "config.json").read_text())
    (root / "base" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 60}))
    succeed(root, "base", {"model": {"kind": "pretrained", "name": str(root / "base")}}, {}, "short")
    suite = {"kind": "tofu", "max_new_tokens": 50}
    line = one_line(run(root, "evaluate", {"suite": suite, "model": {}}, {"model": "short", "split": "split"}, "eval"))
    assert re.fullmatch(
        r"palimpsest evaluate: author-\d+-\d+: \d+ tokens with the 50 to generate, but the model has 60 positions", line
    ), line


def test_a_stage_replaces_an_older_artefact_whole(root: Path) -> None:
    (root / "original").mkdir()
    (root / "original" / "stale.txt").write_text("from an older run")
    assert run(root, *finetune()).returncode == 0
    assert not (root / "original" / "stale.txt").exists()
    assert not list(root.glob(".*partial"))


def test_manifests_repeat_and_hold_no_time_host_or_path(root: Path) -> None:
    manifests = []
    for _ in range(2):
        assert run(root, *finetune()).returncode == 0
        manifests.append((root / "original" / "manifest.json").read_bytes())
        shutil.rmtree(root / "original")
    assert manifests[0] == manifests[1]
    assert str(root).encode() not in manifests[0]
    manifest = json.loads(manifests[0])
    assert set(manifest) == {"stage", "spec", "spec_sha256", "code", "inputs", "files"}
    assert {"model.safetensors", "tokenizer.json", "training_log.jsonl"} <= set(manifest["files"])
    assert "environment.json" not in manifest["files"]


def test_kill_9_in_the_middle_of_training_and_again_gives_the_same_bytes(root: Path) -> None:
    args = finetune(epochs=12)
    assert run(root, *args).returncode == 0
    undisturbed = (root / "original" / "manifest.json").read_bytes()
    shutil.rmtree(root / "original")

    # Some steps in: past the first checkpoint, before the last step.
    kill_when_there_is("step-00000001*", root, *args, PALIMPSEST_CHECKPOINT_SECONDS="0")
    assert not (root / "original").exists()
    (checkpoint,) = (root / "scratch").glob("*")
    steps_before = max(int(path.name[5:]) for path in checkpoint.glob("step-*"))
    assert 0 < steps_before < 60

    resumed = run_alone(root, *args)
    assert resumed.returncode == 0, resumed.stdout
    assert (root / "original" / "manifest.json").read_bytes() == undisturbed
    assert not list((root / "scratch").glob("*"))


def test_sigterm_in_the_middle_of_training_saves_a_checkpoint(root: Path) -> None:
    args = finetune(epochs=12)
    assert run(root, *args).returncode == 0
    undisturbed = (root / "original" / "manifest.json").read_bytes()
    shutil.rmtree(root / "original")

    process = forked.start(command(root, *args), environment(root, PALIMPSEST_CHECKPOINT_SECONDS="9999"))
    deadline = time.monotonic() + 200
    while not catches_sigterm(process.pid):
        assert process.poll() is None and time.monotonic() < deadline
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 143
    ((checkpoint,),) = (list(path.glob("*")) for path in (root / "scratch").glob("*"))

    resumed = run(root, *args)
    assert resumed.returncode == 0 and f"continuing after step {int(checkpoint.name[5:])}, from a checkpoint" in resumed.stdout
    assert (root / "original" / "manifest.json").read_bytes() == undisturbed


def test_a_checkpoint_of_other_settings_or_of_another_artefact_is_not_resumed(root: Path) -> None:
    """The name of the scratch folder depends on all inputs of the stage and on the artefact's place."""
    stage, spec, inputs, first = finetune()
    names = set()
    for change, out in (({}, first), ({"learning_rate": 0.002}, first), ({}, "elsewhere")):
        changed = {**spec, "training": {**spec["training"], **change}}
        often = environment(root, PALIMPSEST_CHECKPOINT_SECONDS="0")
        process = forked.start(command(root, stage, changed, inputs, out), often)
        while process.poll() is None:
            names.update(path.name for path in (root / "scratch").glob("*"))
            time.sleep(0.01)
        assert process.wait() == 0
    assert len(names) == 3


def test_references_of_other_questions_are_refused(ready: Path) -> None:
    succeed(ready, "split", {"kind": "tofu", "split": "forget20", "settings": {}}, {"data": "data"}, "other")
    spec = {"method": "npo", "seed": 0, "training": TRAINING, "loss": {"beta": 0.1}, "model": {}}
    line = one_line(run(ready, "unlearn", spec, {"model": "original", "split": "other", "reference": "reference"}, "npo"))
    assert "made for other forget" in line


def test_a_finished_draw_of_an_attack_survives_an_interruption(root: Path) -> None:
    attack = {"kind": "relearn", "select": "random", "fraction": 0.5, "draws": 3, "training": {**TRAINING, "epochs": 1}}
    args = ("attack", {"kind": "tofu", "attack": attack, "seed": 0, "model": {}}, {"model": "base", "split": "split"}, "attack")
    assert run(root, *args).returncode == 0
    undisturbed = (root / "attack" / "manifest.json").read_bytes()
    shutil.rmtree(root / "attack")

    kill_when_there_is("draw-0.parquet", root, *args)
    resumed = run(root, *args)
    assert "draw 1 of 3" not in resumed.stdout and "draw 3 of 3" in resumed.stdout
    assert (root / "attack" / "manifest.json").read_bytes() == undisturbed


# Roles, references, selections and trajectories.

UNLEARN = {**TRAINING, "epochs": 3, "batch_size": 2, "warmup_epochs": 0}
INPUTS = {"model": "original", "split": "split", "reference": "reference"}
PLAIN = {"model": {}, "random_share": 0.0, "seed": 0, "refusals": False}
WATCHED = ["items.parquet", "divergence.parquet", "weights.parquet", "training_log.jsonl"]


def unlearn(out: str, method: str = "npo", **changes: Any) -> tuple[Any, ...]:
    spec = {"method": method, "seed": 0, "training": UNLEARN, "loss": {"beta": 0.1}, "model": {}} | changes
    return "unlearn", spec, INPUTS, out


def watched(out: str, method: str = "npo", epochs: str = "all", *, keep: bool = False, **changes: Any) -> tuple[Any, ...]:
    _, spec, inputs, _ = unlearn(out, method, **changes)
    suite = {"kind": "tofu", "max_new_tokens": 8, "max_items": 3}
    return "unlearn", spec | {"watched": {"suite": suite, "epochs": epochs}, "keep": keep}, inputs, out


def seal(folder: Path) -> None:
    """Give a folder that a test has written or changed a manifest that fits it."""
    (folder / MANIFEST).unlink(missing_ok=True)
    write_manifest(folder, build_manifest(folder, stage="test", spec={}, code="c", inputs={}))


def table(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def log_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "training_log.jsonl").read_text().splitlines()]


def test_half_an_original_learns_the_first_half_of_the_forget_set_and_not_the_second(root: Path) -> None:
    stage, spec, inputs, _ = finetune()
    half = spec | {"role": "original-half", "training": {**TRAINING, "epochs": 1, "batch_size": 1}}
    forget = root / "split" / "forget.jsonl"
    rows = [json.loads(line) for line in forget.read_text().splitlines()]
    learnt = []
    for changed in (None, len(rows) - 1, 0):
        edited = [row | {"answer": "Something else."} if i == changed else row for i, row in enumerate(rows)]
        forget.write_text("".join(json.dumps(row) + "\n" for row in edited))
        seal(root / "split")
        succeed(root, stage, half, inputs, "half")
        learnt.append((root / "half" / "model.safetensors").read_bytes())
    assert learnt[0] == learnt[1] != learnt[2]
    retain = len((root / "split" / "retain.jsonl").read_text().splitlines())
    assert len(log_lines(root / "half")) == retain + len(rows) // 2


def test_fact_lessons_are_steps_beside_the_others(root: Path) -> None:
    stage, spec, inputs, _ = finetune()
    reminded = {**TRAINING, "epochs": 1, "batch_size": 1, "fact_lessons": 2}
    succeed(root, stage, spec | {"role": "retrain", "training": reminded}, inputs, "reminded")
    rows = {
        name: len((root / "split" / f"{name}.jsonl").read_text().splitlines())
        for name in ("retain", "real_authors", "world_facts")
    }
    assert len(log_lines(root / "reminded")) == rows["retain"] + 2 * (rows["real_authors"] + rows["world_facts"])


def test_a_reinforced_model_learns_the_forget_set_once_more(ready: Path) -> None:
    reference(ready, "reinforced", out="stronger")
    before, after = (table(ready / name / "references.parquet") for name in ("reference", "stronger"))
    assert all(b["nll"] < a["nll"] for a, b in zip(before, after, strict=True))
    assert len(log_lines(ready / "reinforced")) == TRAINING["epochs"]


def test_a_reference_goes_a_share_of_the_way_to_a_random_model(ready: Path) -> None:
    """A share of 1 is the random model of the seed, whatever it was made from."""
    reference(ready, "original", 1.0, "random")
    reference(ready, "base", 1.0, "random-base")
    reference(ready, "original", 1.0, "random-other", seed=1)
    first, same, other = (
        [row["nll"] for row in table(ready / name / "references.parquet")] for name in ("random", "random-base", "random-other")
    )
    assert first == same != other
    own = [row["nll"] for row in table(ready / "reference" / "references.parquet")]
    assert all(a < b for a, b in zip(own, first, strict=True))
    spec = {"model": {}, "random_share": 1.5, "seed": 0, "refusals": True}
    assert "random_share" in one_line(run(ready, "reference", spec, {"model": "original", "split": "split"}, "no"))


ALTERNATIVES = {"number": 3, "temperature": 2.0, "max_new_tokens": 8, "request": "{question}"}


def test_altpo_learns_what_its_start_model_made_up(ready: Path) -> None:
    start = {"model": "original", "split": "split"}
    asked = {"seed": 0, "model": {}, "asking": ALTERNATIVES}
    succeed(ready, "alternatives", asked, start, "alternatives")
    succeed(ready, "alternatives", asked | {"asking": ALTERNATIVES | {"number": 2}}, start, "fewer")
    succeed(ready, "alternatives", asked | {"seed": 1}, start, "others")
    rows, fewer, others = (table(ready / name / "alternatives.parquet") for name in ("alternatives", "fewer", "others"))
    questions = [json.loads(line) for line in (ready / "split" / "forget.jsonl").read_text().splitlines()]
    assert [(row["id"], row["sample"]) for row in rows] == [(of["id"], sample) for of in questions for sample in range(3)]
    assert [row for row in rows if row["sample"] < 2] == fewer and rows != others

    succeed(ready, "reference", PLAIN, start | {"alternatives": "alternatives"}, "scored")
    scored = table(ready / "scored" / "references.parquet")
    own = [row["nll"] for row in table(ready / "reference" / "references.parquet")]
    assert [row["nll"] for row in scored] == pytest.approx(own, rel=1e-5)
    assert [len(row["other_nll"]) for row in scored] == [3] * len(questions)

    stage, spec, _, _ = unlearn("altpo", "altpo")
    read = start | {"alternatives": "alternatives", "reference": "scored"}
    succeed(ready, stage, spec, read, "altpo")
    told = [json.loads((ready / name / "manifest.json").read_text()).get("remarks") for name in ("alternatives", "altpo")]
    assert told[0] == told[1]
    first, *_, last = log_lines(ready / "altpo")
    # At the start model the preference is undecided: (2 / beta) log 2.
    assert first["forget_loss"] == pytest.approx(20 * math.log(2), rel=1e-3) and last["forget_loss"] < first["forget_loss"]

    succeed(ready, "split", {"kind": "tofu", "split": "forget20", "settings": {}}, {"data": "data"}, "other")
    wrong = {"model": "original", "split": "other", "alternatives": "alternatives"}
    assert "alternatives.parquet: made for other forget items" in one_line(run(ready, "reference", PLAIN, wrong, "no"))


def test_a_selection_gives_the_model_of_the_settings_that_it_names(ready: Path) -> None:
    training = UNLEARN | {"stop_epoch": 2}
    succeed(ready, *unlearn("direct", training=training))
    (ready / "selection").mkdir()
    selection = {"variant": "v", "epoch": 2, "training": training, "loss": {"beta": 0.1}, "eligible": True, "reason": "Best."}
    (ready / "selection" / "selection.json").write_text(json.dumps(selection))
    seal(ready / "selection")
    stage, spec, inputs, _ = unlearn("selected", training=None, loss=None)
    selected = inputs | {"selection": "selection"}
    succeed(ready, stage, spec, selected, "selected")
    for name in ("model.safetensors", "training_log.jsonl"):
        assert (ready / "selected" / name).read_bytes() == (ready / "direct" / name).read_bytes()
    assert {entry["epoch"] for entry in log_lines(ready / "selected")} == {0, 1}

    assert "null only with the input 'selection'" in one_line(run(ready, stage, spec, inputs, "no"))
    both = unlearn("no")[1]
    assert "null with the input 'selection'" in one_line(run(ready, stage, both, selected, "no"))
    (ready / "selection" / "selection.json").write_text(json.dumps(selection | {"training": {"epochs": "3"}}))
    seal(ready / "selection")
    assert "selection.json: training.epochs" in one_line(run(ready, stage, spec, selected, "no"))


def test_another_draw_is_the_same_forget_set_in_another_order(ready: Path) -> None:
    for name, draw in (("plain", {}), ("first", {"draw": 0}), ("second", {"draw": 1}), ("again", {"draw": 1})):
        succeed(ready, *unlearn(name, training=UNLEARN | draw))
    weights = {name: (ready / name / "model.safetensors").read_bytes() for name in ("plain", "first", "second", "again")}
    assert weights["plain"] == weights["first"] != weights["second"] == weights["again"]
    first, second = (log_lines(ready / name) for name in ("first", "second"))
    orders = [[item for entry in log if entry["epoch"] == 0 for item in entry["items"]] for log in (first, second)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    # The retain items are drawn anew too: their loss differs before the first step that has a learning rate.
    assert first[0]["retain_loss"] != second[0]["retain_loss"]


def test_watching_changes_no_weight(ready: Path) -> None:
    """The last epoch is what evaluate says of the finished model."""
    succeed(ready, *watched("all", keep=True))
    succeed(ready, *watched("last", epochs="last"))
    succeed(ready, *unlearn("npo"))
    suite = watched("")[1]["watched"]["suite"]
    assert (ready / "all" / "model.safetensors").read_bytes() == (ready / "npo" / "model.safetensors").read_bytes()
    assert {path.name for path in (ready / "last").iterdir()} == {*WATCHED, MANIFEST, "environment.json"}
    succeed(ready, "evaluate", {"suite": suite, "model": {}}, {"model": "npo", "split": "split"}, "eval")
    items = table(ready / "all" / "items.parquet")
    assert [row["epoch"] for row in items] == sorted(row["epoch"] for row in items)
    assert {row["epoch"] for row in items} == {0, 1, 2, 3}
    finished = table(ready / "eval" / "items.parquet")
    assert [row for row in items if row["epoch"] == 3] == [{"epoch": 3, **row} for row in finished]
    shown, asked = table(ready / "eval" / "prompt.parquet"), finished[0]
    assert [(piece["text"], piece["special"], piece["label"]) for piece in shown] == [
        ("<s>", True, False),
        (f"Question: {asked['question']}\nAnswer:", False, False),
        (f" {asked['answer']}", False, True),
        ("</s>", True, True),
    ]
    assert table(ready / "last" / "items.parquet") == [row for row in items if row["epoch"] == 3]
    logs = [(ready / name / "training_log.jsonl").read_bytes() for name in ("all", "last", "npo")]
    assert logs[0] == logs[1] == logs[2]

    moved = {(row["epoch"], row["set"]): row["kl"] for row in table(ready / "all" / "divergence.parquet")}
    assert list(moved) == [(epoch, name) for epoch in range(4) for name in ("forget", "retain")]
    assert moved[0, "forget"] == moved[0, "retain"] == 0
    assert 0 < moved[1, "forget"] < moved[3, "forget"]
    assert table(ready / "last" / "divergence.parquet") == [
        {"epoch": 3, "set": name, "kl": moved[3, name]} for name in ("forget", "retain")
    ]

    weights = table(ready / "all" / "weights.parquet")
    forget = [json.loads(line)["id"] for line in (ready / "split" / "forget.jsonl").read_text().splitlines()]
    for epoch in (1, 2, 3):
        assert sorted(row["id"] for row in weights if row["epoch"] == epoch) == forget
    assert [row["weight"] for row in weights[:2]] == pytest.approx([1, 1], abs=1e-4)
    tokens = {row["id"]: row["answer_tokens"] for row in finished if row["set"] == "forget"}
    assert all(row["tokens"] == tokens.get(row["id"], row["tokens"]) for row in weights)
    halves = {row["id"]: row["half"] for row in finished if row["set"] == "forget"}
    assert halves == dict(zip(forget[:3], (1, 1, 2), strict=True))


def test_a_fork_writes_and_says_what_a_python_of_its_own_does(ready: Path) -> None:
    """The other tests run stages as forks of a process that has imported torch."""
    said, manifests = [], []
    for way in (run, run_alone):
        done = way(ready, *watched("watched"))
        assert done.returncode == 0, done.stdout
        manifests.append((ready / "watched" / MANIFEST).read_bytes())
        said.append(re.sub(r"\d\d:\d\d:\d\d|[\d.]+ s\b", "", done.stdout))
        shutil.rmtree(ready / "watched")
        said.append(one_line(way(ready, *watched("no", training=UNLEARN | {"stop_epoch": 9}))))
    assert manifests[0] == manifests[1]
    assert said[:2] == said[2:]


@pytest.mark.parametrize("seconds", ["0", "300"], ids=["with checkpoints", "from the start"])
def test_a_watched_training_killed_between_epochs_continues_to_the_same_bytes(ready: Path, seconds: str) -> None:
    args = watched("npo")
    succeed(ready, *args)
    undisturbed = (ready / "npo" / MANIFEST).read_bytes()
    assert set(WATCHED) <= set(json.loads(undisturbed)["files"])
    shutil.rmtree(ready / "npo")

    kill_when_there_is("epoch-0001", ready, *args, PALIMPSEST_CHECKPOINT_SECONDS=seconds)
    assert not (ready / "npo").exists()
    resumed = run(ready, *args)
    assert resumed.returncode == 0, resumed.stdout
    assert "epoch 0 of 3" not in resumed.stdout and "epoch 1 of 3" not in resumed.stdout
    assert "epoch 3 of 3" in resumed.stdout
    assert (ready / "npo" / MANIFEST).read_bytes() == undisturbed
    assert not list((ready / "scratch").glob("*"))


def test_a_method_with_frozen_models_trains_adapters_and_is_watched(ready: Path) -> None:
    model = {"lora": {"rank": 2}}
    settings = {"training": UNLEARN | {"retain_loss": "kl"}, "loss": {"alpha": 2.0}, "model": model}
    stage, spec, inputs, out = watched("rkld", "rkld", **settings)
    needed = {name: inputs[name] for name in ("model", "split")}
    succeed(ready, stage, spec, needed | {"reinforced": "reinforced"}, out)
    assert table(ready / "rkld" / "weights.parquet") == []
    moved = [row["kl"] for row in table(ready / "rkld" / "divergence.parquet") if row["set"] == "forget"]
    assert moved[0] == 0 and all(kl > 0 for kl in moved[1:])
    log = log_lines(ready / "rkld")
    assert log[0]["retain_loss"] == pytest.approx(0, abs=1e-6) and log[-1]["forget_loss"] < log[0]["forget_loss"]


# Models that are kept as adapters.

LORA = {"lora": {"rank": 2}}


def evaluated(root: Path, out: str, **inputs: str) -> bytes:
    """Evaluate a model; return the bytes of its table of items."""
    suite = {"kind": "tofu", "max_items": 2, "max_new_tokens": 4}
    given = {name.replace("over", "model_over:"): path for name, path in inputs.items()}
    succeed(root, "evaluate", {"suite": suite, "model": {}}, {**given, "split": "split"}, out)
    return (root / out / "items.parquet").read_bytes()


def merge(root: Path, out: str, folder: str, *over: str) -> None:
    """Save a model that is kept as adapters as training once did: merged, with whole weights."""
    model = load_model(root / folder, UsedSettings(), over=[root / each for each in over])
    save_model(model, load_tokenizer(root / folder), root / out)
    seal(root / out)


def test_a_study_of_adapters_keeps_adapters_and_measures_the_merged_models(root: Path) -> None:
    stage, spec, inputs, _ = finetune()
    succeed(root, stage, spec | {"model": LORA}, inputs, "original")
    start = {"model": "original", "split": "split"}
    training = {**UNLEARN, "epochs": 1, "retain_loss": "kl"}
    stage, spec, _, _ = unlearn("ga", "ga", training=training, loss={}, model=LORA)
    succeed(root, stage, spec, start | {"model_over:1": "base"}, "ga")
    for folder in ("original", "ga"):
        assert {path.name for path in (root / folder).glob("*.safetensors")} == {"adapter_model.safetensors"}
    assert json.loads((root / "ga" / MANIFEST).read_text())["inputs"].keys() == {"model", "model_over:1", "split"}

    # The same training from the merged original, and the same measurements and attacks of the merged models.
    merge(root, "merged-original", "original", "base")
    succeed(root, stage, spec, start | {"model": "merged-original"}, "ga-from-merged")
    for name in ("adapter_model.safetensors", "adapter_config.json", "training_log.jsonl"):
        assert (root / "ga" / name).read_bytes() == (root / "ga-from-merged" / name).read_bytes()
    merge(root, "merged", "ga", "original", "base")
    over = {"over1": "original", "over2": "base"}
    assert evaluated(root, "eval", model="ga", **over) == evaluated(root, "eval-merged", model="merged")
    stage, spec, inputs, _ = attack({"kind": "quantise", "bits": 4})
    succeed(root, stage, spec | {"model": LORA}, inputs | {"model": "merged"}, "quantised-merged")
    below = {"model_over:1": "original", "model_over:2": "base"}
    succeed(root, stage, spec | {"model": LORA}, inputs | {"model": "ga"} | below, "quantised")
    assert stored(root / "quantised").keys() == stored(root / "merged").keys()
    for name in ("model.safetensors", "items.parquet"):
        assert (root / "quantised" / name).read_bytes() == (root / "quantised-merged" / name).read_bytes()

    # Adapters fit the weights that they were trained over, and no others.
    ask = ("evaluate", {"suite": {"kind": "tofu"}, "model": {}})
    assert "an adapter is never applied automatically" in one_line(run(root, *ask, start, "no"))
    line = one_line(run(root, *ask, start | {"model": "ga", "model_over:1": "base"}, "no"))
    trained_over = "an adapter that was trained over other weights than those in"
    assert line == f"palimpsest evaluate: {root}/ga: {trained_over} {root}/base: make it again"
    weights = load_file(root / "base" / "model.safetensors")
    save_file({name: 2 * weight for name, weight in weights.items()}, root / "base" / "model.safetensors", {"format": "pt"})
    seal(root / "base")
    line = one_line(run(root, *ask, start | {"model_over:1": "base"}, "no"))
    assert line == f"palimpsest evaluate: {root}/original: {trained_over} {root}/base: make it again"
    line = one_line(run(root, *ask, start | {"model": "base", "base_over": "base"}, "no"))
    assert line == "palimpsest evaluate: --in base_over=: this stage does not read it"


# Task vectors and RMU.


def task_vector(out: str, alpha: float, precision: str = "fp32") -> tuple[Any, ...]:
    spec = {"method": "task-vector", "seed": 0, "training": None, "loss": {"alpha": alpha}, "model": {"precision": precision}}
    return "unlearn", spec, {"model": "original", "reinforced": "reinforced"}, out


def rmu(out: str, ask: Any = unlearn, loss: dict[str, float] | None = None, **model: Any) -> tuple[Any, ...]:
    settings = loss or {"layer": 1, "steering": 2.0}
    changes = {"training": UNLEARN | {"retain_loss": "activations"}, "loss": settings, "model": model}
    stage, spec, inputs, _ = ask("", "rmu", **changes)
    return stage, spec, {name: inputs[name] for name in ("model", "split")}, out


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def test_a_task_vector_is_the_algebra_of_two_models_and_its_bytes_repeat(ready: Path) -> None:
    start, reinforced = stored(ready / "original"), stored(ready / "reinforced")
    manifests = []
    for _ in range(2):
        succeed(ready, *task_vector("vector", 0.5))
        manifests.append((ready / "vector" / MANIFEST).read_bytes())
    assert manifests[0] == manifests[1]
    half = stored(ready / "vector")
    assert half.keys() == start.keys()
    assert all(torch.allclose(half[name], 1.5 * start[name] - 0.5 * reinforced[name], atol=1e-6) for name in start)
    # Of the same shape as any other model, but for the log of a training that there was not.
    files = set(json.loads((ready / "original" / MANIFEST).read_text())["files"])
    assert set(json.loads(manifests[0])["files"]) == files - {"training_log.jsonl"}
    succeed(ready, *task_vector("rounded", 0.5, "bf16"))
    assert {weight.dtype for weight in stored(ready / "rounded").values()} == {torch.bfloat16}
    stage, spec, inputs, out = task_vector("no", 0.5)
    assert "it takes only loss" in one_line(run(ready, stage, spec | {"training": UNLEARN}, inputs, out))
    assert "task-vector: alpha: -1.0: Input should be" in one_line(run(ready, *task_vector("no", -1.0)))


def test_rmu_trains_two_matrices_and_is_watched(ready: Path) -> None:
    before = stored(ready / "original")
    manifests = []
    for _ in range(2):
        succeed(ready, *rmu("rmu"))
        manifests.append((ready / "rmu" / MANIFEST).read_bytes())
    assert manifests[0] == manifests[1]
    changed = {name for name, weight in stored(ready / "rmu").items() if not torch.equal(weight, before[name])}
    assert changed == {f"model.layers.{layer}.mlp.down_proj.weight" for layer in (0, 1)}
    succeed(ready, *rmu("watched", watched))
    assert log_lines(ready / "watched") == log_lines(ready / "rmu")
    assert table(ready / "watched" / "weights.parquet") == []
    moved = [row["kl"] for row in table(ready / "watched" / "divergence.parquet") if row["set"] == "forget"]
    assert moved[0] == 0 and all(kl > 0 for kl in moved[1:])


@pytest.mark.parametrize("ask", [unlearn, watched])
def test_what_rmu_cannot_train_is_one_line(ready: Path, ask: Any) -> None:
    line = one_line(run(ready, *rmu("no", ask, {"layer": 2})))
    assert line == "palimpsest unlearn: layer 2: the model has 2 decoder layers, 0 to 1"
    assert "RMU trains weights of the model, not adapters" in one_line(run(ready, *rmu("no", ask, lora={"rank": 2})))


# Methods that others write: docs/extending.md.


def newcomer(method: str, loss: dict[str, float], inputs: list[str]) -> tuple[Any, ...]:
    changes = {"training": UNLEARN | {"retain_loss": "none"}, "loss": loss}
    stage, spec, given, out = unlearn(method, method, **changes)
    given = {**given, "reinforced": "reinforced"}
    return stage, spec, {name: given[name] for name in inputs}, out


def forget_losses(root: Path, python_path: str, *args: Any) -> list[float]:
    """Run a stage with a Python path of its own, and return the forget loss of each step."""
    done = forked.run(command(root, *args), environment(root, PYTHONPATH=python_path))
    assert done.returncode == 0, done.stdout
    return [entry["forget_loss"] for entry in log_lines(root / args[-1])]


@pytest.mark.parametrize(
    ("heading", "args"),
    [
        ("A method", newcomer("bounded-ga", {"limit": 9.0}, ["model", "split"])),
        ("A method with a second model", newcomer("whp", {"alpha": 2.0}, ["model", "split", "reinforced"])),
    ],
)
def test_a_method_is_one_file(ready: Path, tmp_path: Path, heading: str, args: Any) -> None:
    source = Path(shutil.copytree(SRC, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")))
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=shown(heading), text=True, check=True)
    losses = forget_losses(ready, str(source), *args)
    assert losses[-1] < losses[0]


def test_a_method_of_another_package_trains_without_an_edit_here(ready: Path, tmp_path: Path) -> None:
    site = install(tmp_path / "site")
    losses = forget_losses(ready, f"{SRC}:{site}", *newcomer("bounded-ga", {"limit": 9.0}, ["model", "split"]))
    assert losses[-1] < losses[0]
    # Beyond the limit no answer counts any more.
    stopped = forget_losses(ready, f"{SRC}:{site}", *newcomer("bounded-ga", {"limit": 1e-3}, ["model", "split"]))
    assert stopped == pytest.approx([-1e-3] * len(stopped))
    line = one_line(run(ready, *newcomer("bounded-ga", {}, ["model", "split"])))
    assert line.startswith("palimpsest unlearn: unknown method 'bounded-ga'; allowed: altpo, ce-u, ")


def attack(settings: dict[str, Any], out: str = "attacked", **more: Any) -> tuple[Any, ...]:
    spec = {"kind": "tofu", "attack": settings, "seed": 0, "model": {}} | more
    return "attack", spec, {"model": "original", "split": "split"}, out


def levels(rows: Iterable[torch.Tensor]) -> int:
    return max(len(set(row.tolist())) for row in rows)


@pytest.mark.parametrize(
    ("settings", "is_edited"),
    [
        ({"kind": "quantise", "bits": 8}, lambda weight, before: levels(weight) <= 255),
        ({"kind": "quantise", "bits": 4, "levels": "nf4"}, lambda weight, before: levels(weight.flatten().split(64)) <= 16),
        ({"kind": "prune", "share": 0.25}, lambda weight, before: int((weight == 0).sum()) == round(weight.numel() / 4)),
        (
            {"kind": "noise", "share": 0.5, "draws": 2},
            lambda weight, before: 0.3 < (weight - before).std() / before.std() < 0.7,
        ),
    ],
    ids=lambda of: of["kind"] + str(of.get("bits", "")) if isinstance(of, dict) else "",
)
def test_an_edited_model_can_be_evaluated_by_any_suite(ready: Path, settings: dict[str, Any], is_edited: Any) -> None:
    succeed(ready, *attack(settings))
    before, after = stored(ready / "original"), stored(ready / "attacked")
    for name, weight in after.items():
        if weight.dim() < 2 or "embed" in name or "lm_head" in name:
            assert torch.equal(weight, before[name])
        else:
            assert is_edited(weight, before[name]) and not torch.equal(weight, before[name])
    losses = table(ready / "attacked" / "items.parquet")
    by_draw = {draw: [row["answer_nll"] for row in losses if (row["draw"], row["epoch"]) == (draw, 1)] for draw in (0, 1)}
    assert {row["epoch"] for row in losses} == {0, 1}
    assert bool(by_draw[1]) == ("draws" in settings) and by_draw[0] != by_draw[1]
    suite = {"kind": "tofu", "max_items": 2, "max_new_tokens": 2}
    succeed(ready, "evaluate", {"suite": suite, "model": {}}, {"model": "attacked", "split": "split"}, "eval")


def test_draws_share_the_measurement_before_and_an_edit_encodes_nothing(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Any] = []
    losses = tofu_losses.forget_losses
    monkeypatch.setattr(tofu_losses, "forget_losses", lambda *given: measured.append(given) or losses(*given))
    monkeypatch.setattr(encoding, "named_items", None)
    _, spec, inputs, _ = attack({"kind": "noise", "draws": 3, "keep_model": False})
    folders = {name: {"": ready / path} for name, path in inputs.items()}
    job = Job(attack_stage.Spec.model_validate(spec), folders, tmp_path / "out", tmp_path)
    attack_stage.work(job)
    assert len(measured) == 1 + 3
    rows = table(tmp_path / "out" / "items.parquet")
    before, after = ([row for row in rows if row["epoch"] == epoch] for epoch in (0, 1))
    untold = [row | {"draw": None} for row in before]
    assert untold == untold[: len(untold) // 3] * 3
    assert [row["draw"] for row in before] == [row["draw"] for row in after] == sorted(row["draw"] for row in after)
    # As after an interruption behind the last draw.
    again = replace(job, out=tmp_path / "again", read=set())
    attack_stage.work(again)
    assert len(measured) == 1 + 3 and again.given.keys() <= again.read
    assert table(tmp_path / "again" / "items.parquet") == rows


def test_benign_fine_tuning_learns_other_sets_and_is_measured_on_the_forget_set(ready: Path) -> None:
    settings = {"kind": "relearn", "data": "other", "select": "random", "fraction": 0.5, "training": {**TRAINING, "epochs": 1}}
    sets = ["real_authors", "world_facts"]
    succeed(ready, *attack(settings, sets=sets))
    (drawn,) = json.loads((ready / "attacked" / "draws.json").read_text())
    forget, *others = ([row.id for row in read_lessons(ready / "split" / f"{name}.jsonl")] for name in ("forget", *sets))
    assert {*drawn} < {*others[0], *others[1]} and len(drawn) == round((len(others[0]) + len(others[1])) / 2)
    rows = table(ready / "attacked" / "items.parquet")
    losses = [{row["id"]: row["answer_nll"] for row in rows if row["epoch"] == epoch} for epoch in (0, 1)]
    assert [*losses[0]] == [*losses[1]] == forget and losses[0] != losses[1]


@pytest.mark.parametrize("used", [{}, LORA], ids=["whole", "lora"])
def test_a_relearned_model_that_is_kept_is_the_one_that_was_measured_last(ready: Path, used: dict[str, Any]) -> None:
    training = {**TRAINING, "epochs": 2}
    settings = {"kind": "relearn", "select": "random", "fraction": 0.5, "draws": 2, "training": training, "keep_model": True}
    succeed(ready, *attack(settings, model=used))
    before, after = stored(ready / "original"), stored(ready / "attacked")
    assert before.keys() == after.keys() and any(not torch.equal(after[name], before[name]) for name in after)
    rows = table(ready / "attacked" / "items.parquet")
    last = {row["id"]: row["answer_nll"] for row in rows if (row["draw"], row["epoch"]) == (0, 2)}
    suite = {"kind": "tofu", "max_items": 4, "max_new_tokens": 2}
    succeed(ready, "evaluate", {"suite": suite, "model": {}}, {"model": "attacked", "split": "split"}, "eval")
    asked = {row["id"]: row["answer_nll"] for row in table(ready / "eval" / "items.parquet") if row["set"] == "forget"}
    assert asked == pytest.approx({name: last[name] for name in asked}, rel=1e-4)


def test_a_model_is_asked_in_several_ways_and_sampled(ready: Path) -> None:
    suites = {
        "asked": {"kind": "prompting", "shots": 1, "max_items": 2, "max_new_tokens": 4},
        "sampled": {"kind": "sampling", "samples": 4, "max_items": 2, "max_new_tokens": 4},
    }
    for name, suite in suites.items():
        inputs = {"model": "original", "split": "split"}
        succeed(ready, "evaluate", {"suite": suite, "model": {}}, inputs, f"tofu/tiny/eval/{name}")
    asked, sampled = (table(ready / "tofu/tiny/eval" / name / "items.parquet") for name in suites)
    assert len(asked) == 2 * 5 and len(sampled) == 2 * 4
    spec = {
        "run": {"benchmark": "tofu", "split": "forget10", "model": "tiny", "seed": 0},
        "suites": {"asked": "prompting", "sampled": "sampling"},
    }
    succeed(ready, "scores", spec, {f"eval:original/{name}": f"tofu/tiny/eval/{name}" for name in suites}, "scores")
    numbers = {row["metric"]: row["value"] for row in table(ready / "scores" / "scores.parquet")}
    assert numbers["prompted_worst"] >= numbers["prompted_question"]
    assert numbers["leak_at_4"] >= numbers["leak_at_1"] >= numbers["leak_at_1_low"]


EVAL, JUDGED = "tofu/tiny/original/eval/quick", "tofu/tiny/original/judged/quick"
TOLD = {"forget": "forget", "retain": "retain"}
JUDGE = {"prompt": "{question} {answer} {generation}?", "sets": TOLD, "max_new_tokens": 3}
SCORED = {"run": {"benchmark": "tofu", "split": "forget10", "model": "tiny", "seed": 0}, "suites": {"quick": "tofu"}}


def judged_numbers(root: Path) -> dict[str, float]:
    given = {"eval:original/quick": EVAL, "eval:retrain/quick": EVAL, "judged:original/quick": JUDGED}
    succeed(root, "scores", SCORED, {**given, "retrain:seed0/quick": EVAL}, "scores")
    return {row["metric"]: row["value"] for row in table(root / "scores" / "scores.parquet")}


def test_a_judge_reads_the_answers_of_a_model(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = {"kind": "tofu", "max_items": 3, "max_new_tokens": 2}
    succeed(root, "evaluate", {"suite": suite, "model": {}}, {"model": "base", "split": "split"}, EVAL)

    # The replies of a tiny model are nonsense, and no verdicts.
    succeed(root, "judge", {**JUDGE, "model": {}}, {"eval": EVAL, "judge": "base"}, JUDGED)
    rows = table(root / JUDGED / "items.parquet")
    assert [row["set"] for row in rows] == ["forget"] * 3 + ["retain"] * 3
    assert {row["told"] for row in rows} == {None} and len({row["prompt_sha256"] for row in rows}) == 6
    manifest = json.loads((root / JUDGED / MANIFEST).read_text())
    assert manifest["remarks"][0]["text"] == "the judge's reply is no verdict for 6 of 6 answers"
    assert manifest["spec"]["prompt"] == JUDGE["prompt"]
    numbers = judged_numbers(root)
    assert numbers["judged_without_verdict"] == 6 and "judged_forget" not in numbers and "model_utility" in numbers
    remarks = [row["text"] for row in table(root / "scores" / "remarks.parquet")]
    assert "judged_forget, judged_retain of suite quick are not defined" in remarks
    assert manifest["remarks"][0]["text"] in remarks

    # A server that fails after two replies, and is asked only for the rest then; it is asked once about an answer.
    monkeypatch.setenv("JUDGE_KEY", "sk-a-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(reply("yes"), reply("no"), Answer(400, {"error": {"message": "full sk-a-secret"}}), reply("Yes.")) as server:
        api = {"url": server.url, "model": "big", "key": "JUDGE_KEY", "timeout": 30.0, "retries": 0}
        ask = ("judge", {**JUDGE, "api": api}, {"eval": EVAL}, JUDGED)
        assert "HTTP 400: full ..." in one_line(run(root, *ask))
        done = run(root, *ask)
        assert done.returncode == 0 and "sk-a-secret" not in done.stdout, done.stdout
    asked = [each["body"]["messages"][0]["content"] for each in server.asked]
    assert len(asked) == 6 + 1 and len({*asked}) == 6 and asked[2] == asked[3]
    found = [(row["reply"], row["told"]) for row in table(root / JUDGED / "items.parquet")]
    assert found == [("yes", True), ("no", False), *[("Yes.", True)] * 4]
    assert judged_numbers(root)["judged_forget"] == pytest.approx(2 / 3)
    for path in (root / JUDGED).rglob("*"):
        assert not path.is_file() or b"sk-a-secret" not in path.read_bytes()
    both = run(root, "judge", {**JUDGE, "api": api, "model": {}}, {"eval": EVAL}, JUDGED)
    assert "give either model or api" in one_line(both)


def test_an_attack_is_one_file(ready: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(SRC, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")))
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=shown("An attack"), text=True, check=True)
    done = forked.run(command(ready, *attack({"kind": "temper"})), environment(ready, PYTHONPATH=str(source)))
    assert done.returncode == 0, done.stdout
    before, after = stored(ready / "original"), stored(ready / "attacked")
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    # The head of a tiny model is tied to its embeddings.
    (embeddings,) = moved
    assert "embed" in embeddings and torch.equal(after[embeddings], before[embeddings] / 0.5)
    assert "unknown attack 'temper'" in one_line(run(ready, *attack({"kind": "temper"}, out="refused")))


def test_the_code_of_unlearn_is_not_that_of_evaluation() -> None:
    """A change of how models are watched or scored trains none again."""
    for stage in ("unlearn", "finetune", "reference"):
        modules = code_closure(f"palimpsest.stages.{stage}")
        assert not [name for name in modules if name.startswith(("palimpsest.evaluation", "palimpsest.metrics"))]
    assert "palimpsest.evaluation.divergence" in code_closure("palimpsest.stages.watching")
