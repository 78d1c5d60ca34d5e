"""Kill -9 at fifty random moments of all stages, and of whole runs of Snakemake: a rerun ends with the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest
from checkout import TINY, Checkout, clone, finish, manifests
from studies import Made, made

import forked
from palimpsest.arguments import whole
from palimpsest.provenance.canonical import sha256_file
from palimpsest.provenance.manifest import verify_artefact
from palimpsest.study.stages import STAGES

pytestmark = pytest.mark.faults
KILLS = 50
TIMESTAMP = ".snakemake_timestamp"
IMPORTED = "{benchmark: tofu, split: forget10, model: tiny, log: items.parquet, label: GA theirs, source: a friend}"
SEED = whole(0)(os.environ.get("PALIMPSEST_FAULTS_SEED", "0"))


@pytest.fixture(scope="session")
def studies(finished_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> list[Checkout]:
    """The three tiny studies, one with a log that others made, finished, to be broken: together they have every stage but one."""
    folder = tmp_path_factory.mktemp("studies")
    tiny = finished_once.copy(folder / "tiny")
    shutil.copy(tiny.path / "results/tofu/tiny/forget10/seed0/unlearn/ga/default/eval/tofu/items.parquet", tiny.path)
    ran = tiny.snakemake(*tiny.overlay(f"external: {{theirs: {IMPORTED}}}"))
    assert ran.returncode == 0, ran.stdout
    others = [finish(folder / name, "--configfile", f"config/test/{name}.yaml") for name in ("corpus", "markov")]
    return [tiny, *others]


def chosen(studies: list[Checkout], draw: random.Random) -> Iterator[tuple[Checkout, Made]]:
    """Yield one artefact of each stage, then another of each, and so on for ever."""
    stages: dict[str, list[tuple[Checkout, Made]]] = {}
    for study in studies:
        for artefact in made(study):
            stages.setdefault(artefact.stage, []).append((study, artefact))
    for artefacts in stages.values():
        draw.shuffle(artefacts)
    yield from (next(turn) for turn in cycle([cycle(stages[stage]) for stage in sorted(stages)]))


def digest(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a study but those of times and hosts, and Snakemake's marks of its folders."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("environment.json", TIMESTAMP))
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(files)}


def run_stage(study: Checkout, artefact: Made, scratch: Path, kill_after: float | None = None) -> float:
    """Run a stage's command again, to its end or until it is killed; return the seconds that it took.

    As Snakemake does before it, the manifest is deleted, and the files beside it are left.
    """
    (study.path / artefact.path).unlink(missing_ok=True)
    env = {**os.environ, "PYTHONPATH": str(study.path / "src"), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    env |= {"PALIMPSEST_SCRATCH": str(scratch), "PALIMPSEST_CHECKPOINT_SECONDS": "0"}
    with scratch.with_suffix(".log").open("a+") as log:
        started = time.monotonic()
        stage = forked.start(artefact.arguments, env, study.path, log.fileno())
        if kill_after is None:
            assert stage.wait() == 0, scratch.with_suffix(".log").read_text()
        else:
            while stage.poll() is None and time.monotonic() - started < kill_after:
                time.sleep(0.001)
            assert stage.kill() in (-signal.SIGKILL, 0)
    return time.monotonic() - started


def test_fifty_kills_over_all_stages(studies: list[Checkout], tmp_path: Path) -> None:
    draw = random.Random(SEED)
    before = [digest(study.path / "results") for study in studies]
    killed: dict[str, int] = {}
    seconds: dict[Path, float] = {}
    for number, (study, artefact) in enumerate(islice(chosen(studies, draw), KILLS)):
        scratch, path = tmp_path / str(number), study.path / artefact.path
        wanted = path.read_bytes()
        if path not in seconds:
            seconds[path] = run_stage(study, artefact, scratch)
            assert path.read_bytes() == wanted, artefact.path
        share = draw.random()
        say = f"PALIMPSEST_FAULTS_SEED={SEED}: kill {number} at {share:.3f} of {seconds[path]:.2f} s: {artefact.path}"
        print(say, flush=True)
        run_stage(study, artefact, scratch, share * seconds[path])
        killed[artefact.stage] = killed.get(artefact.stage, 0) + 1
        if path.exists():
            verify_artefact(path)
        run_stage(study, artefact, scratch)
        verify_artefact(path)
        assert path.read_bytes() == wanted, say
        assert not list(scratch.glob("*")) and not list(path.parent.parent.glob(".*.partial")), say
    print(f"{sum(killed.values())} kills over {len(killed)} stages: {killed}")
    for study, files in zip(studies, before, strict=True):
        assert digest(study.path / "results").items() ^ files.items() == set()
    # No study here has a judge, or stock tasks of lm-eval, whose data the stage `fetch` downloads.
    assert set(killed) == {row.module or stage for stage, row in STAGES.items()} - {"fetch", "judge"}


@pytest.mark.parametrize("number", range(3))
def test_snakemake_and_all_its_jobs_killed(finished_once: Checkout, tmp_path: Path, number: int) -> None:
    seconds = 10 + 25 * random.Random(SEED + number).random()
    print(f"PALIMPSEST_FAULTS_SEED={SEED}: run {number} killed after {seconds:.1f} s")
    checkout = clone(tmp_path / "clone")
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PALIMPSEST_CHECKPOINT_SECONDS": "0"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *TINY]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(command, cwd=checkout.path, env=env, stdout=log, stderr=log, start_new_session=True)
        time.sleep(seconds)
        assert run.poll() is None, (tmp_path / "log").read_text()
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    before = manifests(checkout.path / "results")
    for path in before:
        verify_artefact(checkout.path / "results" / path)

    locked = checkout.snakemake(*TINY)
    assert locked.returncode != 0 and "Directory cannot be locked" in locked.stdout and "--unlock" in locked.stdout
    assert checkout.snakemake("--unlock", *TINY).returncode == 0
    again = checkout.snakemake(*TINY)
    assert again.returncode == 0, again.stdout
    assert manifests(checkout.path / "results") == manifests(finished_once.path / "results")
    assert before.items() <= manifests(checkout.path / "results").items()
    assert checkout.jobs(*TINY) == {}
