"""A SIGTERM waits for the end of a step, and a second one does not; a rerun finds whole files only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from palimpsest.contract.job import REFUSED, REMARKS, Job, _work
from palimpsest.errors import SNAKEMAKE_RUN, UserError
from palimpsest.provenance.manifest import FACT, Remark
from palimpsest.settings import Settings
from palimpsest.study.rules import shell_prefix

SOURCE = Path(__file__).resolve().parents[2] / "src"
STAGE = """
import sys, time
from palimpsest import interruption
interruption.ECHO_SECONDS = float(sys.argv[1])
with interruption.postponed():
    print("training", flush=True)
    while not interruption.requested():
        time.sleep(0.01)
    print("saving", flush=True)
    time.sleep(1)
print("saved", flush=True)
"""


def start(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert process.stdout and process.stdout.readline() == "training\n"
    return process


def test_the_same_signal_twice_is_one() -> None:
    process = start([sys.executable, "-c", STAGE, "5"])
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert process.communicate(timeout=60)[0] == "saving\nsaved\n" and process.returncode == 0


def test_a_second_signal_ends_at_once() -> None:
    process = start([sys.executable, "-c", STAGE, "0"])
    process.send_signal(signal.SIGTERM)
    assert process.stdout and process.stdout.readline() == "saving\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "" and process.returncode == -signal.SIGTERM


def test_the_shell_of_a_job_waits_for_its_stage(tmp_path: Path) -> None:
    """A scheduler signals every process of a job, and takes what is left away when the first one has ended."""
    (tmp_path / "stage.py").write_text(STAGE, encoding="utf-8")
    prefix = shell_prefix({"PYTHONPATH": str(SOURCE)}, deployed=False)
    process = start(["/bin/bash", "-c", f"{prefix} python {tmp_path}/stage.py 5 2> {tmp_path}/log"])
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert process.stdout and process.stdout.read() == "saving\nsaved\n"


def job(folder: Path) -> Job[Settings]:
    return Job(Settings(), {}, folder / "out", folder)


def test_a_part_that_was_being_written_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "epoch-0001.partial").mkdir()
    (tmp_path / "epoch-0001.partial" / "half").touch()

    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / "whole").touch()

    job(tmp_path).keep(tmp_path / "epoch-0001", write)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["epoch-0001", "epoch-0001/whole"]


def test_what_a_rerun_reads_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(job: Job[Settings]) -> None:
        raise UserError("no such name")

    def write(number: int) -> None:
        working.remark(Remark(FACT, f"remark {number}"))
        monkeypatch.setenv(SNAKEMAKE_RUN, f"run {number}")
        with pytest.raises(UserError):
            _work(refuse, working)

    working = job(tmp_path)
    write(1)
    files = [tmp_path / REMARKS, tmp_path / REFUSED]
    before = [path.read_text() for path in files]
    opened = [path.open() for path in files]
    write(2)
    # Whoever has opened an old file reads all of it.
    assert [file.read() for file in opened] == before
    assert [path.read_text() for path in files] != before and {*tmp_path.iterdir()} == {*files}
    for file in opened:
        file.close()
