"""Weights of a finished study that go, and come back for what is new without what is behind them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkout import TINY, Checkout, manifests

RUN = "tofu/tiny/forget10/seed0"
GA = f"{RUN}/unlearn/ga/default"
END = {"scores": 1, "summarise": 1, "page": 1, "publish": 1, "all": 1}
# The base, the original and GA.
AGAIN = {"base_tiny": 1, "finetune": 1, "unlearn": 1}


def said(checkout: Checkout, *arguments: str, code: int = 0) -> str:
    """Run a command of Palimpsest, and return its stdout and stderr."""
    ran = checkout.palimpsest(*arguments, code=code)
    return ran.stdout + ran.stderr


def made(checkout: Checkout) -> dict[str, bytes]:
    """Return the manifests of the artefacts, without the store's."""
    return {name: content for name, content in manifests(checkout.path / "results").items() if ".store" not in name}


def weights(checkout: Checkout) -> set[str]:
    found = (checkout.path / "results").rglob("*.safetensors")
    return {path.parent.relative_to(checkout.path / "results").as_posix() for path in found if ".store" not in path.parts}


def attack_ga(checkout: Checkout) -> None:
    rest = "], suites: [tofu, lm-eval], attacks"
    checkout.edit(TINY[1], f"methods: [npo{rest}", f"methods: [npo, ga{rest}")


@pytest.fixture(scope="module")
def pruned_once(finished_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The finished study, all weights pruned by hand."""
    checkout = finished_once.copy(tmp_path_factory.mktemp("pruned") / "study")
    pruned = said(checkout, "prune", "results", "--keep", "results")
    assert "14 models pruned, which freed" in pruned and not weights(checkout)
    return checkout


@pytest.fixture
def pruned(pruned_once: Checkout, tmp_path: Path) -> Checkout:
    return pruned_once.copy(tmp_path / "moved")


def test_keep_prunes_a_finished_study_and_nothing_else_runs(finished: Checkout) -> None:
    """The resolved config is written again."""
    keep = ("--config", "keep=results")
    before = made(finished)
    ran = finished.snakemake(*TINY, *keep)
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count("Pruning the weights of ") == 14 and "16 jobs" in ran.stdout
    assert not weights(finished) and made(finished) == before
    assert finished.jobs(*TINY, *keep) == {}


@pytest.mark.slow
def test_pruned_results_are_current_for_all_commands(pruned: Checkout) -> None:
    assert pruned.jobs(*TINY) == {}
    states = {state["path"]: state["kind"] for state in json.loads(said(pruned, "status", "results", "--json"))["states"]}
    assert set(states.values()) == {"current", "pruned"}
    assert states[f"{GA}/model"] == "pruned" and states[f"{GA}/eval/tofu"] == "current"
    assert "(14 of them pruned), 0 to make" in said(pruned, "status", "results")
    told = said(pruned, "audit", "verify", "results", "--allow", "unrecorded", "--out", "results")
    assert "14 pruned (" in told and "every byte traces to its source" in told
    where = ("method=ga", "variant=default", "seed=0", "suite=tofu")
    assert ", weights pruned" in said(pruned, "audit", "explain", "forget_quality", "results", "--where", *where)
    crate = said(pruned, "audit", "crate", "results", "crate")
    assert "Its weights were pruned" in (pruned.path / crate.strip()).read_text()
    assert "0 models pruned, which freed 0.0 MB" in said(pruned, "prune", "results", "--keep", "results")
    told = said(pruned, "audit", "rerun", "results", "--only", "evaluate", "--sample", "1", code=2)
    assert "has only 0 artefacts of these stages; 22 more read weights that were pruned" in told


def test_a_new_attack_makes_its_model_again_and_nothing_that_is_there(pruned: Checkout) -> None:
    attack_ga(pruned)
    assert pruned.jobs(*TINY) == {**AGAIN, "attack": 1, **END}
    before, new = made(pruned), f"{GA}/attack/relearn-random/manifest.json"
    ran = pruned.snakemake(f"results/{new}", *TINY)
    assert ran.returncode == 0, ran.stdout
    assert "weights that were pruned are made again, because a job reads them:" in ran.stdout
    after = made(pruned)
    assert {name for name in after if after[name] != before.get(name)} == {new}
    assert weights(pruned) == {f"{GA}/model", f"{RUN}/original/model", "tofu/tiny/base"}


def test_a_making_again_that_was_killed_wakes_nothing(pruned: Checkout) -> None:
    """Snakemake has removed the manifests; their records put them back."""
    attack_ga(pruned)
    for path in (f"{RUN}/original/model", f"{GA}/model"):
        (pruned.path / "results" / path / "manifest.json").unlink()
    assert pruned.jobs(*TINY) == {**AGAIN, "attack": 1, **END}


@pytest.mark.slow
def test_an_edit_reruns_what_is_behind_it_although_it_was_pruned(pruned: Checkout) -> None:
    pruned.edit("src/palimpsest/methods/ga.py", "-batch.nll", "-1 * batch.nll")
    assert pruned.jobs(*TINY) == {**AGAIN, "evaluate": 2, **END}


@pytest.mark.slow
def test_a_job_that_is_forced_gets_its_weights(pruned: Checkout) -> None:
    assert pruned.jobs(*TINY, "--forcerun", f"results/{GA}/eval/tofu/manifest.json") == {**AGAIN, "evaluate": 1, **END}
    # The command of the message that a reader of pruned weights prints.
    assert pruned.jobs(f"results/{GA}/model/manifest.json", "--force", *TINY) == AGAIN


def test_what_an_unfinished_job_reads_is_not_pruned(finished: Checkout) -> None:
    attack_ga(finished)
    arguments = ("prune", "results", "--configfile", TINY[1], "--keep", "results")
    assert "; left for jobs that are not finished: 1" in said(finished, *arguments)
    assert weights(finished) == {f"{GA}/model"}
    locks = finished.path / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").touch()
    assert "snakemake is running here" in said(finished, *arguments, code=2)
