"""Jobs as forks of a warm process: each ends as a process of its own would, and none outlives its client."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest import warm
from palimpsest.warm import Warm

ROOT = Path(__file__).resolve().parents[2]
JOB = """
import os, signal, sys, time
from pathlib import Path
what, *more = sys.argv[1:]
Path("pids").write_text(f"{os.getpid()} {os.getppid()}")
print("said", os.environ["SHOWN"], flush=True)
if what == "exit":
    sys.exit(int(more[0]))
if what == "fail":
    raise RuntimeError("a bug")
if what == "catch":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
Path("ready").touch()
time.sleep(100)
"""


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    """A warm process that imports nothing large."""
    (tmp_path / "job.py").write_text(JOB)
    monkeypatch.setattr(warm, "LIBRARIES", ("json", "a_library_that_is_missing"))
    started = Warm()
    yield started
    started.stop()


def launch(folder: Path, socket: Path, *arguments: str, threads: str = "1") -> subprocess.Popen[str]:
    own = {"PYTHONPATH": f"{folder}:{ROOT / 'src'}", "PALIMPSEST_WARM": str(socket), "OMP_NUM_THREADS": threads, "SHOWN": "42"}
    command = [sys.executable, "-m", "palimpsest.launch", "job", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=os.environ | own, text=True, **pipes)


def until(folder: Path, name: str) -> None:
    deadline = time.monotonic() + 60
    while not (folder / name).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pids(folder: Path) -> list[int]:
    """The job's process and its parent."""
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("code", [0, 3, 143])
def test_a_fork_has_the_output_the_environment_and_the_exit_code_of_a_job(tmp_path: Path, process: Warm, code: int) -> None:
    job = launch(tmp_path, process.socket, "exit", str(code))
    assert job.communicate(timeout=60) == ("said 42\n", "")
    assert job.returncode == code
    assert pids(tmp_path)[1] == process._process.pid != job.pid


def test_only_jobs_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Some libraries warn when they are imported, as bitsandbytes does on some CPUs."""
    monkeypatch.setattr(warm, "LIBRARIES", ("peft",))
    process = Warm()
    (tmp_path / "job.py").write_text("import logging\nlogging.getLogger('job').warning('a warning')\n")
    assert launch(tmp_path, process.socket).communicate(timeout=120) == ("", "a warning\n")
    process.stop()
    assert capfd.readouterr().err == ""


def test_a_bug_is_a_traceback(tmp_path: Path, process: Warm) -> None:
    job = launch(tmp_path, process.socket, "fail")
    _, said = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "Traceback" in said and said.strip().endswith("RuntimeError: a bug")


@pytest.mark.parametrize(("what", "code"), [("catch", 143), ("sleep", -signal.SIGTERM)])
def test_a_sigterm_reaches_the_fork(tmp_path: Path, process: Warm, what: str, code: int) -> None:
    job = launch(tmp_path, process.socket, what)
    until(tmp_path, "ready")
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=60)
    assert job.returncode == code
    assert gone(pids(tmp_path)[0])


def test_the_warm_process_ignores_the_signals_that_stop_jobs(tmp_path: Path, process: Warm) -> None:
    job = launch(tmp_path, process.socket, "sleep")
    until(tmp_path, "ready")
    for number in (signal.SIGTERM, signal.SIGINT):
        process._process.send_signal(number)
    time.sleep(0.2)
    assert job.poll() is None
    job.terminate()
    job.communicate(timeout=60)


def test_a_fork_ends_with_its_client(tmp_path: Path, process: Warm) -> None:
    job = launch(tmp_path, process.socket, "catch")
    until(tmp_path, "ready")
    job.kill()
    job.communicate(timeout=60)
    assert gone(pids(tmp_path)[0])
    again = launch(tmp_path, process.socket, "exit", "0")
    again.communicate(timeout=60)
    assert again.returncode == 0


def test_a_fork_ends_with_the_warm_process_and_its_client_says_killed(tmp_path: Path, process: Warm) -> None:
    job = launch(tmp_path, process.socket, "catch")
    until(tmp_path, "ready")
    process._process.kill()
    job.communicate(timeout=60)
    assert job.returncode == -signal.SIGKILL
    assert gone(pids(tmp_path)[0])


def test_without_a_warm_process_a_job_says_so_and_runs(tmp_path: Path, process: Warm) -> None:
    process._process.kill()
    process._process.wait()
    job = launch(tmp_path, process.socket, "exit", "3")
    said, error = job.communicate(timeout=60)
    assert (said, job.returncode) == ("said 42\n", 3)
    assert error.endswith("; the job starts a Python of its own\n")
    assert pids(tmp_path)[0] == job.pid


@pytest.mark.parametrize(("socket", "threads"), [(None, "2"), ("no", "1")])
def test_a_job_with_several_threads_or_by_choice_has_a_python_of_its_own(
    tmp_path: Path, process: Warm, socket: str | None, threads: str
) -> None:
    job = launch(tmp_path, Path(socket or process.socket), "exit", "3", threads=threads)
    assert job.communicate(timeout=60) == ("said 42\n", "")
    assert pids(tmp_path)[0] == job.pid


def test_forks_run_at_the_same_time_and_the_process_ends_after_the_last(tmp_path: Path, process: Warm) -> None:
    jobs = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "job.py").write_text(JOB)
        jobs.append((folder, launch(folder, process.socket, "catch")))
    for folder, _ in jobs:
        until(folder, "ready")
    process._process.stdin.close()  # type: ignore[union-attr]
    time.sleep(0.2)
    assert all(job.poll() is None for _, job in jobs)
    for _, job in jobs:
        job.terminate()
        job.communicate(timeout=60)
        assert job.returncode == 143
    assert process._process.wait(timeout=60) == 0
