"""Weights go once they are read: what is removed, what it frees, and that half of it is never taken for whole."""

import json
import os
import shutil
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from example_study import CONFIG, changed

from palimpsest.audit.artefacts import find_artefacts
from palimpsest.audit.files import check_file, check_manifest, check_strangers
from palimpsest.cli import main as command
from palimpsest.contract.pruning import difference_from_pruned, freed_by, is_left, main, prune, restore
from palimpsest.contract.store import entry_of, keep
from palimpsest.disk import Step, simulate
from palimpsest.errors import SNAKEMAKE_RUN, BrokenArtefact, UserError
from palimpsest.provenance.manifest import (
    MANIFEST,
    PRUNED,
    build_manifest,
    content_of,
    is_pruned,
    key_of,
    read_manifest,
    verify_artefact,
    write_manifest,
)
from palimpsest.study import hooks
from palimpsest.study.keeping import priority, prunable
from palimpsest.study.stages import STAGES, Artefacts
from palimpsest.study.study import Study

SHARDS = {"model-1.safetensors": b"w" * 700, "model-2.safetensors": b"v" * 300}
FILES = {**SHARDS, "config.json": b"{}"}


def write(folder: Path, files: dict[str, bytes], stage: str = "unlearn", inputs: dict[str, str] | None = None) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifest = build_manifest(folder, stage=stage, spec={"seed": 0}, code="c", inputs=inputs or {"model": "m"})
    write_manifest(folder, manifest)
    (folder / "environment.json").write_text("{}")
    return folder


def key(folder: Path) -> str:
    made = read_manifest(folder / MANIFEST)
    return key_of(made["stage"], made["spec"], made["code"], made["inputs"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with two files of weights, 1000 bytes, and an entry in a store that shares them."""
    folder = write(tmp_path / "results" / "model", FILES)
    keep(tmp_path / "store", key(folder), folder)
    return folder


def test_weights_and_the_stores_share_of_them_go_and_the_rest_stays(model: Path, tmp_path: Path) -> None:
    store, before = tmp_path / "store", (model / MANIFEST).read_bytes()
    assert freed_by(model, store) == prune(model, store) == 1000
    assert {path.name for path in model.iterdir()} == {"config.json", MANIFEST, "environment.json", PRUNED}
    assert (model / MANIFEST).read_bytes() == (model / PRUNED).read_bytes() == before
    assert not entry_of(store, key(model)).exists()
    assert prune(model, store) == freed_by(model, store) == 0


def test_weights_that_other_results_share_free_nothing_and_stay_in_the_store(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in SHARDS:
        os.link(model / name, other / name)
    assert prune(model, tmp_path / "store") == 0
    assert verify_artefact(entry_of(tmp_path / "store", key(model)) / MANIFEST)
    assert (other / "model-1.safetensors").read_bytes() == SHARDS["model-1.safetensors"]


def test_a_store_on_another_disk_frees_its_copy_too(model: Path, tmp_path: Path) -> None:
    entry = entry_of(tmp_path / "store", key(model))
    for name, content in SHARDS.items():
        (entry / name).unlink()
        (entry / name).write_bytes(content)
    assert prune(model, tmp_path / "store") == 2000
    assert not entry.exists()


def test_without_a_store_the_weights_go(model: Path) -> None:
    # The entry, which is not looked for, holds them still.
    assert prune(model, None) == 0
    assert not list(model.glob("*.safetensors"))


def test_pruned_is_told_from_lost(model: Path) -> None:
    shutil.copytree(model, lost := model.with_name("lost"))
    (lost / "model-1.safetensors").unlink()
    with pytest.raises(BrokenArtefact, match=r"model-1.safetensors: missing, but .* names it"):
        verify_artefact(lost / MANIFEST)
    prune(model, None)
    with pytest.raises(BrokenArtefact, match=r"its weights were pruned; make them again: snakemake --force .*manifest.json"):
        verify_artefact(model / MANIFEST)
    assert verify_artefact(model / MANIFEST, weights=False)["stage"] == "unlearn"


@pytest.mark.parametrize("killed_at", range(6))
def test_killed_while_pruning_it_is_whole_or_pruned(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """At every change of the disk: the record, the half-written one of it, each file, the store."""
    left = iter(range(killed_at))

    def or_die(change: Any) -> Any:
        def changes(*arguments: Any, **named: Any) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return change(*arguments, **named)

        return changes

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", or_die(Path.rename))
        patched.setattr(Path, "unlink", or_die(Path.unlink))
        patched.setattr(shutil, "rmtree", or_die(shutil.rmtree))
        if killed_at < 5:
            with pytest.raises(KeyboardInterrupt):
                prune(model, tmp_path / "store")
        else:
            prune(model, tmp_path / "store")
    if is_pruned(model):
        with pytest.raises(BrokenArtefact, match="pruned"):
            verify_artefact(model / MANIFEST)
        assert is_left(model) == (killed_at < 4)
    else:
        assert killed_at == 0 and verify_artefact(model / MANIFEST)
    # The second attempt does the rest.
    prune(model, tmp_path / "store")
    assert is_pruned(model) and not is_left(model) and not entry_of(tmp_path / "store", key(model)).exists()


def test_a_pruned_artefact_is_not_stored(model: Path, tmp_path: Path) -> None:
    prune(model, tmp_path / "store")
    keep(tmp_path / "store", key(model), model)
    assert not entry_of(tmp_path / "store", key(model)).exists()


def test_a_manifest_that_an_interrupted_job_left_missing_comes_back(model: Path) -> None:
    before = (model / MANIFEST).read_bytes()
    (model / MANIFEST).unlink()
    restore(model)
    assert not (model / MANIFEST).exists()
    write_manifest(model, json.loads(before))
    prune(model, None)
    # Snakemake removes the output of a job before it starts.
    (model / MANIFEST).unlink()
    restore(model)
    assert (model / MANIFEST).read_bytes() == before


def test_the_rule_prunes_only_what_its_readers_were_made_of(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PALIMPSEST_STORE", str(tmp_path / "store"))
    content = content_of(read_manifest(model / MANIFEST))
    current = write(tmp_path / "results" / "eval", {"items": b"1"}, "evaluate", {"model": content})
    stale = write(tmp_path / "results" / "attack", {"items": b"2"}, "attack", {"model": "another"})
    assert main([str(each / MANIFEST) for each in (model, current, stale)]) == 0
    assert "attack was made of others, and is to be made again" in capsys.readouterr().out
    assert verify_artefact(model / MANIFEST) and not is_pruned(model) and (model / PRUNED).exists()
    assert main([str(each / MANIFEST) for each in (model, current)]) == 0
    assert is_pruned(model) and capsys.readouterr().out.endswith("model: pruned, 0.0 MB\n")
    assert main([str(tmp_path / MANIFEST)]) == 2


def test_other_bytes_of_a_model_made_again_are_told(model: Path) -> None:
    made = read_manifest(model / MANIFEST)
    assert difference_from_pruned(model, made) is None
    prune(model, None)
    assert difference_from_pruned(model, made) is None
    other = made | {"files": made["files"] | {"model-1.safetensors": {"sha256": "0" * 64, "size": 700}}}
    assert "other bytes than those that were pruned" in str(difference_from_pruned(model, other))
    # Another code or spec is another model.
    assert difference_from_pruned(model, other | {"code": "d"}) is None


def test_an_audit_knows_what_was_pruned(model: Path) -> None:
    def findings() -> Iterator[str]:
        found = find_artefacts(model.parent)
        (artefact,) = found.values()
        checked = [each for name in artefact.manifest["files"] for each in check_file(artefact, name)]
        for finding in (*check_manifest(artefact), *checked, *check_strangers(model.parent, found)):
            yield f"{finding.kind} {finding.path}"

    prune(model, None)
    assert list(findings()) == []
    assert find_artefacts(model.parent)["model"].pruned == {"model-1.safetensors": 700, "model-2.safetensors": 300}
    (model / "config.json").unlink()
    assert list(findings()) == ["missing model/config.json"]
    (model / "config.json").write_bytes(FILES["config.json"])
    (model / PRUNED).write_text(json.dumps(read_manifest(model / MANIFEST) | {"code": "forged"}))
    assert list(findings()) == ["tampered model/pruned.json"]
    (model / PRUNED).unlink()
    assert list(findings()) == ["missing model/model-1.safetensors", "missing model/model-2.safetensors"]


RUN = "tofu/tiny/forget10/seed0"


def block(**changes: Any) -> dict[str, Any]:
    return {"benchmark": "tofu", "splits": ["forget10"], "models": ["tiny"], "seeds": [0], "suites": ["tofu"], **changes}


def stay(*blocks: dict[str, Any], **config: Any) -> set[str]:
    """Return the models whose weights stay of those that are read, below the run."""
    artefacts = Artefacts(Study(CONFIG | {"blocks": list(blocks)} | config))
    return {path.removeprefix(f"{RUN}/") for path in artefacts.readers.keys() - prunable(artefacts).keys()}


def test_what_each_keep_keeps() -> None:
    attacked = block(methods=["npo", "task-vector"], attacks=["relearn-shortest"])
    everything = {
        "original/model",
        "original/reinforced/model",
        "retrain/model",
        "unlearn/npo/default/model",
        "unlearn/task-vector/default/model",
        "tofu/tiny/base",
    }
    assert stay(attacked) == stay(attacked, keep="all") == everything
    assert stay(attacked | {"keep": "all"}, keep="results") == everything
    # The base and the reinforced model are only ways to others.
    assert stay(attacked, keep="attacked") == everything - {"tofu/tiny/base", "original/reinforced/model"}
    assert stay(block(methods=["npo"]), keep="attacked") == {"original/model", "retrain/model"}
    assert stay(attacked, keep="results") == set()


def test_of_several_blocks_the_one_that_keeps_most_counts() -> None:
    all_of_npo = block(methods=["npo"], keep="all")
    assert stay(all_of_npo, block(methods=["npo", "ga", "task-vector"], keep="results")) == {
        "tofu/tiny/base",
        "original/model",
        "retrain/model",
        "unlearn/npo/default/model",
    }
    # An attack of another block makes a model of this one attacked.
    attacks = block(methods=["ga"], attacks=["relearn-shortest"], keep="results")
    kept = stay(block(methods=["ga", "npo"], keep="attacked"), attacks)
    assert kept == {"original/model", "retrain/model", "unlearn/ga/default/model"}


def test_models_that_an_attack_gives_are_attacked_models() -> None:
    attacks = {"relearn": {"kind": "quantise", "bits": 8}}
    given = block(methods=["npo"], attacks=["relearn"])
    assert "unlearn/npo/default/attack/relearn" in stay(given, attacks=attacks, keep="attacked")
    assert stay(given, attacks=attacks, keep="results") == set()


def test_a_block_that_only_makes_models_prunes_none() -> None:
    with pytest.raises(UserError, match=r"blocks\[0\]: keep: results: nothing reads the models of the block; use all, or"):
        Study(changed(["blocks"], [block(suites=[], methods=["npo"], keep="results")]))
    with pytest.raises(UserError, match=r"keep: .*some"):
        Study(changed(["keep"], "some"))


def test_what_reads_weights_is_what_computes_with_a_model() -> None:
    """Snakemake plans by the table of stages what a job's spec says at run time."""
    artefacts, seen = Artefacts(Study(CONFIG)), set()
    for node in artefacts.nodes.values():
        if any(STAGES[given.stage].has_weights for given in artefacts.given(node).values()):
            spec = import_module(f"palimpsest.stages.{node.stage}").Spec
            assert bool(artefacts.weights(node)) == getattr(spec, "reads_weights", True), node
            seen.add(node.stage)
    assert seen == {"finetune", "reference", "unlearn", "attack", "evaluate", "scores"}


def test_what_lets_weights_go_is_done_first() -> None:
    def priorities(**config: Any) -> dict[str, int]:
        artefacts = Artefacts(Study(CONFIG | {"blocks": [block(methods=["npo"], attacks=["relearn-shortest"])]} | config))
        found = {node.stage: priority(artefacts, node) for node in artefacts.nodes.values()}
        return {stage: found[stage] for stage in sorted(found, key=lambda stage: (found[stage], stage)) if found[stage] > 0}

    assert set(priorities().values()) == {1}
    ordered = priorities(keep="results")
    assert list(ordered) == ["base", "finetune", "reference", "unlearn", "attack", "evaluate"]
    assert len(set(ordered.values())) == 6
    # Of models that stay, the training goes first, as ever.
    assert priorities(keep="attacked") == {"base": 1, "reference": 1, "unlearn": 1, "attack": 1} | {
        "finetune": ordered["finetune"]
    }


STEPS = [
    Step("base", weights=10, scratch=5, gpus=1, hours=1, priority=1),
    Step("original", ["base"], ["base"], weights=10, scratch=5, gpus=1, hours=1, priority=2),
    Step("one", ["original"], ["original"], weights=10, scratch=5, gpus=1, hours=1, priority=3),
    Step("two", ["original"], ["original"], weights=10, scratch=5, gpus=1, hours=1, priority=3),
    Step("eval of one", ["one"], ["one"], gpus=1, hours=1, priority=4),
    Step("eval of two", ["two"], ["two"], gpus=1, hours=2, priority=4),
    Step("scores", ["eval of one", "eval of two"]),
]


def test_the_disk_of_a_run_by_hand() -> None:
    """All kept: 40 of weights, and 5 of the last training's checkpoints."""
    assert simulate(STEPS, 1, ()) == (45, 40)
    # One GPU: base + original (25), original + one (25), original (20 with one), then two (25): `one` was evaluated before.
    assert simulate(STEPS, 1, {step.path for step in STEPS}) == (25, 0)
    # Two GPUs train one and two at once: original 10, two models 20, two trainings 10.
    assert simulate(STEPS, 2, {step.path for step in STEPS}) == (40, 0)
    # Only base and original go: 20 stay of 25 + 10.
    assert simulate(STEPS, 1, {"base", "original"}) == (35, 20)


def test_a_job_that_wants_more_gpus_than_there_are_gets_all() -> None:
    steps = [Step("wide", weights=1, gpus=4, hours=1), Step("narrow", weights=2, gpus=1, hours=1)]
    assert simulate(steps, 2, ()) == simulate(steps, 2, ()) == (3, 3)


class Remade:
    forced = {"tofu/model": "content"}

    def __init__(self, changed: list[str]) -> None:
        self._changed = changed

    def changed(self) -> list[str]:
        return self._changed

    def is_finished(self) -> bool:
        return True


def test_other_bytes_are_told_and_the_same_command_runs_once_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was made of the bytes before has a manifest of other content, which Snakemake sees."""
    ran: list[list[str]] = []
    monkeypatch.setattr("sys.argv", ["snakemake", "-F", "-R", "evaluate", "--cores", "2"])
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append(command) or subprocess.CompletedProcess(command, 3))
    workflow, study = SimpleNamespace(dag=SimpleNamespace(jobs=[])), Study(CONFIG)
    monkeypatch.setenv(SNAKEMAKE_RUN, "a run")
    hooks.succeeded(workflow, study, Remade([]), None)
    assert ran == [] and capsys.readouterr().err == ""
    with pytest.raises(SystemExit, match="3"):
        hooks.succeeded(workflow, study, Remade(["tofu/model"]), None)
    assert [command[1:] for command in ran] == [["-m", "snakemake", "-R", "evaluate", "--cores", "2", "--forcerun", "--nolock"]]
    assert "have other bytes than before they were pruned:\n  tofu/model" in capsys.readouterr().err


@pytest.fixture
def above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results in `project`, seen from the folder above; Snakemake runs there, and made one artefact."""
    project = tmp_path / "project"
    node = next(iter(Artefacts(Study(CONFIG)).nodes.values()))
    made = write(project / "results" / node.path, {})
    (project / "results/run_config.yaml").write_text(json.dumps(CONFIG))
    name = urlsafe_b64encode(f"results/{node.path}/{MANIFEST}".encode()).decode()
    for path in (project / ".snakemake/locks/0.input.lock", project / ".snakemake/metadata" / name):
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("named", [Path, Path.absolute])
def test_snakemake_is_seen_to_run_from_any_folder(
    above: Path, capsys: pytest.CaptureFixture[str], named: Callable[[Path], Path]
) -> None:
    assert command(["prune", str(named(Path("project/results")))]) == 2
    assert "snakemake is running here" in capsys.readouterr().err


@pytest.mark.parametrize("named", [Path, Path.absolute])
def test_records_of_snakemake_are_found_from_any_folder(
    above: Path, capsys: pytest.CaptureFixture[str], named: Callable[[Path], Path]
) -> None:
    results = str(named(Path("project/results")))
    assert command(["status", results, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unrecorded"] == found["orphaned"] == []
    assert [state["path"] for state in found["states"] if state["kind"] == "stale"] == [
        above.relative_to(Path("project/results").absolute()).as_posix()
    ]
    assert command(["status", results, "--adopt"]) == 0
    assert above.is_dir()


def test_nothing_is_accepted_of_results_elsewhere(above: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["accept", f"{Path('project/results').absolute()}"]) == 0
    assert "nothing to accept" in capsys.readouterr().out


def test_a_study_that_was_not_run_has_a_status(above: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["status", "project/none", "--configfile", "project/results/run_config.yaml", "--json"]) == 0
    assert {state["kind"] for state in json.loads(capsys.readouterr().out)["states"]} == {"missing"}
    # The entries of a store are no artefacts.
    Path("project/none/.store").mkdir(parents=True)
    Path("project/none/.store/manifest.json").touch()
    assert command(["status", "project/none", "--configfile", "project/results/run_config.yaml"]) == 0
    capsys.readouterr()
    shutil.rmtree("project/none")
    assert command(["status", "project/none"]) == 2
    assert "project/none: no such folder of results" in capsys.readouterr().err
