"""Weights of a finished study that go, and come back for what is new without what is behind them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from checkout import TINY, Checkout, manifests

RUN = "tofu/tiny/forget10/seed0"
END = {"scores": 1, "summarise": 1, "page": 1, "publish": 1, "all": 1}
PRUNED = ("--config", "keep=results")


def palimpsest(checkout: Checkout, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(checkout.path / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "palimpsest", *arguments]
    ran = subprocess.run(command, cwd=checkout.path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def weights(checkout: Checkout) -> set[str]:
    found = (checkout.path / "results").rglob("*.safetensors")
    return {path.parent.relative_to(checkout.path / "results").as_posix() for path in found if ".store" not in path.parts}


def attack_ga(checkout: Checkout) -> None:
    checkout.edit(
        TINY[1], "methods: [npo], suites: [tofu, lm-eval], attacks", "methods: [npo, ga], suites: [tofu, lm-eval], attacks"
    )


@pytest.fixture
def pruned(finished: Checkout) -> Checkout:
    """The finished study, all weights pruned by hand."""
    said = palimpsest(finished, "prune", "results", "--keep", "results")
    assert "14 models pruned, freed" in said and not weights(finished)
    return finished


def test_keep_prunes_a_finished_study_and_nothing_else_runs(finished: Checkout) -> None:
    """The resolved config is written again."""
    assert finished.jobs(*TINY, *PRUNED) == {"prune": 14, "publish": 1, "all": 1}
    assert finished.jobs(*TINY, "--config", "keep=attacked") == {"prune": 11, "publish": 1, "all": 1}
    before = manifests(finished.path / "results")
    ran = finished.snakemake(*TINY, *PRUNED)
    assert ran.returncode == 0, ran.stdout
    assert not weights(finished)
    after = manifests(finished.path / "results")
    assert {name: after[name] for name in after if ".store" not in name} == {
        name: before[name] for name in before if ".store" not in name
    }
    assert finished.jobs(*TINY, *PRUNED) == {}
    assert finished.jobs(*TINY) == {"publish": 1, "all": 1}


def test_pruned_results_are_current_for_all_commands(pruned: Checkout) -> None:
    assert pruned.jobs(*TINY) == {}
    states = {state["path"]: state["kind"] for state in json.loads(palimpsest(pruned, "status", "results", "--json"))["states"]}
    assert set(states.values()) == {"current", "pruned"}
    assert states[f"{RUN}/unlearn/ga/default/model"] == "pruned" and states[f"{RUN}/unlearn/ga/default/eval"] == "current"
    assert "(14 of them pruned), 0 to make" in palimpsest(pruned, "status", "results")
    told = palimpsest(pruned, "audit", "verify", "results", "--allow", "unrecorded", "--out", "results")
    assert "14 pruned (" in told and "every byte traces to its source" in told
    where = ("method=ga", "variant=default", "seed=0", "suite=tofu")
    assert ", weights pruned" in palimpsest(pruned, "audit", "explain", "forget_quality", "results", "--where", *where)
    crate = palimpsest(pruned, "audit", "crate", "results", "crate")
    assert "Its weights were pruned" in (pruned.path / crate.strip()).read_text()
    assert "0 models pruned, freed 0.0 MB" in palimpsest(pruned, "prune", "results", "--keep", "results")
    told = palimpsest(pruned, "audit", "rerun", "results", "--only", "evaluate", "--sample", "1", code=2)
    assert "has only 0 artefacts of these stages; 12 more read weights that were pruned" in told


def test_a_new_attack_makes_its_model_again_and_nothing_that_is_there(pruned: Checkout) -> None:
    attack_ga(pruned)
    again = {"base_tiny": 1, "finetune": 1, "unlearn": 1}
    assert pruned.jobs(*TINY) == {**again, "attack": 1, **END}
    # Where weights go again, they go once more.
    assert pruned.jobs(*TINY, *PRUNED) == {**again, "attack": 1, "prune": 14, **END}
    before = manifests(pruned.path / "results")
    new = f"{RUN}/unlearn/ga/default/attack/relearn-random/manifest.json"
    ran = pruned.snakemake(f"results/{new}", *TINY)
    assert ran.returncode == 0, ran.stdout
    assert "3 models whose weights were pruned are made again, because a job reads them" in ran.stdout
    after = manifests(pruned.path / "results")
    assert {name for name in after if ".store" not in name and after[name] != before.get(name)} == {new}
    made = {f"{RUN}/unlearn/ga/default/model", f"{RUN}/original/model", "tofu/tiny/base"}
    assert weights(pruned) == made
    assert pruned.jobs(*TINY) == END


def test_a_new_suite_makes_all_models_again_and_no_reference(pruned: Checkout) -> None:
    arguments = pruned.overlay("suites: {tofu: {max_new_tokens: 9}}")
    # Watched trainings have settings of another suite.
    jobs = pruned.jobs(*arguments)
    assert jobs["evaluate"] == 12 and jobs["base_tiny"] == 1 and jobs["finetune"] == 3
    assert "reference" not in jobs and "select" not in jobs


def test_an_edit_upstream_reruns_what_is_behind_it_although_it_was_pruned(pruned: Checkout) -> None:
    pruned.edit("src/palimpsest/methods/ga.py", "-batch.nll", "-1 * batch.nll")
    assert pruned.jobs(*TINY) == {"base_tiny": 1, "finetune": 1, "unlearn": 1, "evaluate": 1, **END}


def test_a_forced_job_gets_its_weights(pruned: Checkout) -> None:
    jobs = pruned.jobs(*TINY, "--forcerun", f"results/{RUN}/unlearn/ga/default/eval/manifest.json")
    assert jobs == {"base_tiny": 1, "finetune": 1, "unlearn": 1, "evaluate": 1, **END}


def test_new_scores_read_no_weights(pruned: Checkout) -> None:
    source = pruned.path / "src/palimpsest/benchmarks/tofu/scores.py"
    source.write_text(source.read_text(encoding="utf-8") + "\nSOMETHING = 1\n", encoding="utf-8")
    assert not {"base_tiny", "finetune", "unlearn"} & pruned.jobs(*TINY).keys() - {"unlearn"}


def test_an_interrupted_making_again_wakes_nothing(pruned: Checkout) -> None:
    """Snakemake has removed the manifest, the job was killed: the record puts it back."""
    attack_ga(pruned)
    for path in (f"{RUN}/original/model", f"{RUN}/unlearn/ga/default/model"):
        (pruned.path / "results" / path / "manifest.json").unlink()
    assert pruned.jobs(*TINY) == {"base_tiny": 1, "finetune": 1, "unlearn": 1, "attack": 1, **END}


def test_what_an_unfinished_job_reads_is_not_pruned(finished: Checkout) -> None:
    attack_ga(finished)
    arguments = ("prune", "results", "--configfile", TINY[1], "--keep", "results")
    assert "; 1 more are read by jobs that are not finished" in palimpsest(finished, *arguments, "--dry-run")
    before = weights(finished)
    palimpsest(finished, *arguments)
    assert weights(finished) == {f"{RUN}/unlearn/ga/default/model"} < before
    locks = finished.path / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").touch()
    assert "snakemake is running here" in palimpsest(finished, *arguments, code=2)
