"""Faults of whole runs: files damaged behind Snakemake's back, two runs in one folder, clocks that go wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import TINY, Checkout, clone, manifests

pytestmark = pytest.mark.faults
RUN = "results/tofu/tiny/forget10/seed0"
YEAR = 365 * 86400.0


def damage(path: Path, *, flip: bool) -> None:
    content = bytearray(path.read_bytes())
    if flip:
        content[len(content) // 2] ^= 1
    else:
        del content[len(content) // 2 :]
    path.write_bytes(content)


@pytest.mark.parametrize("flip", [False, True], ids=["truncated", "flipped"])
def test_damaged_files_stop_what_reads_them_and_are_made_again(finished: Checkout, flip: bool) -> None:
    """Of each kind one: weights, a table, the data. What reads them is asked for again."""
    before = manifests(finished.path / "results")
    broken = {
        f"{RUN}/unlearn/npo/default/model/model.safetensors": f"{RUN}/unlearn/npo/default/eval/tofu",
        f"{RUN}/original/reference/plain/references.parquet": f"{RUN}/unlearn/npo/default/model",
        "results/tofu/data/world_facts.jsonl": "results/tofu/splits/forget10",
    }
    for file, reader in broken.items():
        damage(finished.path / file, flip=flip)
        (finished.path / reader / "manifest.json").unlink()
        stopped = finished.snakemake(f"{reader}/manifest.json", *TINY)
        assert stopped.returncode == 1
        said = [line for line in stopped.stdout.splitlines() if line.startswith("palimpsest ")]
        assert said and f"{file}: sha256 is " in said[0] and ", " in said[0] and "delete that manifest and rerun" in said[0]
        assert "Traceback" not in stopped.stdout
        manifest = Path(file).with_name("manifest.json")
        (finished.path / manifest).unlink()
        # Of a finished study Snakemake makes what is named, for nothing else is wanted: its report is there.
        assert finished.jobs(*TINY) == {}
        again = finished.snakemake(f"{reader}/manifest.json", str(manifest), *TINY)
        assert again.returncode == 0, again.stdout
        assert manifests(finished.path / "results") == before


def test_of_two_runs_in_one_folder_the_second_is_refused(finished_once: Checkout, tmp_path: Path) -> None:
    checkout = clone(tmp_path / "clone")
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *TINY]
        first = subprocess.Popen(command, cwd=checkout.path, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            while not (checkout.path / "results/tofu/data/manifest.json").exists():
                assert first.poll() is None
                time.sleep(0.1)
            second = checkout.snakemake(*TINY)
            assert second.returncode == 1 and "Directory cannot be locked" in second.stdout
            assert first.wait(timeout=600) == 0, (tmp_path / "log").read_text()
        finally:
            if first.poll() is None:
                os.killpg(first.pid, signal.SIGKILL)
    assert manifests(checkout.path / "results") == manifests(finished_once.path / "results")


def stamp(folder: Path, seconds: float) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() + seconds,) * 2)


@pytest.mark.parametrize("shift", [-YEAR, YEAR], ids=["past", "future"])
def test_a_clock_that_went_wrong_reruns_nothing(finished: Checkout, shift: float) -> None:
    """Contents that are equal are equal whatever the times say: all files moved, then the first or the last ones alone."""
    for folder, way in (("results", shift), ("results/tofu/data", -shift)):
        stamp(finished.path / folder, way)
        # The report's page is larger than what Snakemake compares by contents: it may be copied again.
        assert finished.jobs(*TINY) in ({}, {"publish": 1, "all": 1})


@pytest.mark.parametrize("shift", [-YEAR, YEAR], ids=["past", "future"])
def test_a_change_is_seen_whatever_the_clock_says(finished: Checkout, shift: float) -> None:
    """Settings and code are compared by what they are, not by when."""
    stamp(finished.path, shift)
    finished.edit("config/test/tiny.yaml", "base_training: {learning_rate: 1.0e-3", "base_training: {learning_rate: 2.0e-3")
    assert finished.jobs(*TINY)["base_tiny"] == 1


def test_other_contents_with_older_times_are_not_seen_by_snakemake_and_stop_a_stage(finished: Checkout) -> None:
    """Snakemake looks at manifests, and at those that are newer: the next stage that reads the artefact looks at its files."""
    folder = finished.path / "results/tofu/splits/forget10"
    (folder / "forget.jsonl").write_text("{}\n")
    stamp(folder, -YEAR)
    assert finished.jobs(*TINY) == {}
    shutil.rmtree(finished.path / f"{RUN}/retrain/model")
    stopped = finished.snakemake(f"{RUN}/retrain/model/manifest.json", *TINY)
    assert stopped.returncode == 1 and "forget.jsonl: sha256 is " in stopped.stdout
