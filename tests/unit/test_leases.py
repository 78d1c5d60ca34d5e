"""GPUs are leased by real processes: never one to two at a time, and free again however its process ended."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from palimpsest.contract.job import Job, _work
from palimpsest.leases import lease
from palimpsest.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# A stage that says what it sees, works until it is told to end, and says when it ended.
JOB = """
import json, os, sys, time
from pathlib import Path
name, seconds = sys.argv[1], float(sys.argv[2])
rank = os.environ.get("LOCAL_RANK", "")
Path(f"{name}{rank}.started").write_text(json.dumps([time.monotonic(), os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()]))
time.sleep(seconds)
Path(f"{name}{rank}.ended").write_text(str(time.monotonic()))
"""


@pytest.fixture
def machine(tmp_path: Path) -> "Machine":
    (tmp_path / "job.py").write_text(JOB, encoding="utf-8")
    return Machine(tmp_path)


class Machine:
    """A folder of locks and of what jobs said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, name: str, gpus: int, seconds: float, *, processes: int = 1, **variables: str) -> subprocess.Popen[str]:
        hidden = {"CUDA_VISIBLE_DEVICES", "PALIMPSEST_GPUS", "SLURM_JOB_ID"}
        kept = {key: value for key, value in os.environ.items() if key not in hidden}
        paths = {"TMPDIR": str(self.folder), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{self.folder}"}
        command = ["-m", "palimpsest.launch", "--gpu", str(gpus), "--processes", str(processes), "job", name, str(seconds)]
        return subprocess.Popen(
            [sys.executable, *command], cwd=self.folder, env=kept | paths | variables, stderr=subprocess.PIPE, text=True
        )

    def started(self, name: str) -> tuple[float, str | None, int]:
        path = self.folder / f"{name}.started"
        deadline = time.monotonic() + 60
        while not path.exists() or not path.read_text(encoding="utf-8"):
            assert time.monotonic() < deadline, f"{name} has not started"
            time.sleep(0.02)
        when, gpus, pid = json.loads(path.read_text(encoding="utf-8"))
        return when, gpus, pid

    def ended(self, name: str) -> float:
        return float((self.folder / f"{name}.ended").read_text(encoding="utf-8"))


def test_six_jobs_on_four_gpus_never_share_one(machine: Machine) -> None:
    wanted = {"a": 1, "b": 1, "c": 2, "d": 1, "e": 2, "f": 1}
    jobs = [machine.start(name, gpus, 0.5, PALIMPSEST_GPUS="0,1,2,3") for name, gpus in wanted.items()]
    assert [job.wait(60) for job in jobs] == [0] * len(jobs)
    spans = []
    for name, gpus in wanted.items():
        when, seen, _ = machine.started(name)
        assert seen is not None
        assert len(set(seen.split(","))) == gpus
        spans += [(gpu, when, machine.ended(name)) for gpu in seen.split(",")]
    assert {gpu for gpu, _, _ in spans} <= {"0", "1", "2", "3"}
    for gpu, start, end in spans:
        assert [span for span in spans if span[0] == gpu and span[1] < end and start < span[2]] == [(gpu, start, end)]


def test_a_killed_job_frees_its_gpu(machine: Machine) -> None:
    killed = machine.start("killed", 1, 600, PALIMPSEST_GPUS="5")
    machine.started("killed")
    waits = machine.start("waits", 1, 0, PALIMPSEST_GPUS="5")
    time.sleep(1)
    assert not (machine.folder / "waits.started").exists()
    killed.send_signal(signal.SIGKILL)
    assert waits.wait(60) == 0
    assert machine.started("waits")[1] == "5"
    killed.wait()


def test_gpus_of_several_processes_are_free_when_the_last_has_ended(machine: Machine) -> None:
    several = machine.start("several", 2, 8, processes=2, PALIMPSEST_GPUS="0,1")
    ranks = [machine.started(f"several{rank}") for rank in range(2)]
    assert [gpus for _, gpus, _ in ranks] == ["0,1", "0,1"]
    # The one that started both is gone at once; they work on.
    several.kill()
    several.wait()
    after = machine.start("after", 1, 0, PALIMPSEST_GPUS="0,1")
    for _, _, pid in ranks[:1]:
        os.kill(pid, signal.SIGKILL)
    assert after.wait(60) == 0
    assert machine.started("after")[0] > machine.ended("several1")


def test_more_gpus_than_there_are_is_one_line(machine: Machine) -> None:
    job = machine.start("greedy", 3, 0, PALIMPSEST_GPUS="0,1")
    assert job.wait(60) == 2
    assert job.stderr
    assert job.stderr.read().splitlines() == ["palimpsest: the job requests 3 GPUs, but there are only 2: 0,1"]


@pytest.mark.parametrize(
    ("gpus", "variables", "seen"),
    [
        (2, {"CUDA_VISIBLE_DEVICES": "4,7"}, "4,7"),  # what a scheduler gave
        (1, {"CUDA_VISIBLE_DEVICES": "4,7", "PALIMPSEST_GPUS": "GPU-7a/1"}, "GPU-7a/1"),
        (1, {"CUDA_VISIBLE_DEVICES": ""}, ""),  # hidden: it runs on the CPU
        (0, {"CUDA_VISIBLE_DEVICES": "4"}, "4"),  # as it was
        (0, {"PALIMPSEST_GPUS": "4"}, ""),  # the pool is for those that ask
    ],
)
def test_what_a_job_sees(machine: Machine, gpus: int, variables: dict[str, str], seen: str) -> None:
    assert machine.start("job", gpus, 0, **variables).wait(60) == 0
    assert machine.started("job")[1] == seen


@pytest.mark.parametrize(("asked", "is_there", "lines"), [(1, False, 1), (1, True, 0), (0, False, 0)])
def test_a_job_that_asked_for_a_gpu_and_sees_none_says_so(
    asked: int, is_there: bool, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in lease(asked, {"CUDA_VISIBLE_DEVICES": ""}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_there)
    _work(lambda job: None, Job(Settings(), {}, tmp_path, tmp_path))
    said = [record.message for record in caplog.records]
    assert len(said) == lines and all("torch sees none, so it runs on the CPU; check" in line for line in said)


def test_allocations_of_a_scheduler_that_number_their_gpus_alike_do_not_wait_for_each_other(machine: Machine) -> None:
    one = machine.start("one", 1, 600, CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="1")
    machine.started("one")
    assert machine.start("two", 1, 0, CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="2").wait(60) == 0
    one.kill()
    one.wait()
