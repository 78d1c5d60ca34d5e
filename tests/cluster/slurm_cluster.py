"""A Slurm cluster of this machine, for tests: started and stopped, asked about its jobs, and made to stop them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from checkout import ROOT, Checkout

from caught import catches_sigterm

SCRIPT = ROOT / "scripts" / "slurm_local.sh"
# What a site writes down once (docs/running/slurm.md).
PARTITIONS = "partitions: {cpu: {max_runtime: 1d}, gpu: {max_runtime: 1d, max_gpu: 2}}\n"
FIELDS = ("JobId", "StateCompact", "Reason", "Partition", "MinMemory", "tres-per-job", "RestartCnt", "Comment")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Snakemake:
    """A workflow that runs, and the file that it says things to."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, find: Callable[[], Found | None], seconds: float = 600) -> Found:
        """Return what is found at last; until then the workflow must run."""
        deadline = time.monotonic() + seconds
        while not (found := find()):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text(encoding="utf-8")
            time.sleep(0.1)
        return found

    def finish(self, seconds: float = 1200) -> str:
        """Return all that the workflow has said when it has succeeded."""
        code = self.process.wait(timeout=seconds)
        said = self.log.read_text(encoding="utf-8")
        assert code == 0, said
        return said


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    environment: dict[str, str]

    def say(self, *command: str) -> str:
        """Return what a command of Slurm prints."""
        return subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout

    def jobs(self, rule: str = "") -> list[dict[str, str]]:
        """Return all jobs of a rule, ended ones too, in the order of their submission."""
        rows = self.say("squeue", "--noheader", "--states=all", "--sort=i", "-O", ",".join(f"{field}:200" for field in FIELDS))
        starts = range(0, 200 * len(FIELDS), 200)
        jobs = [dict(zip(FIELDS, (row[at : at + 200].strip() for at in starts), strict=True)) for row in rows.splitlines()]
        return [job for job in jobs if job["Comment"].startswith(f"rule_{rule}")]

    def cancel(self, job: dict[str, str]) -> None:
        """Cancel a job, as a user does."""
        self.say("scancel", job["JobId"])

    def preempt(self, job: dict[str, str]) -> None:
        """Preempt whatever runs by a job that wants the whole node."""
        self.say("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")

    def release(self) -> bool:
        """Let requeued jobs start now: Slurm holds each back for two minutes. Return whether there was one."""
        held = [job["JobId"] for job in self.jobs() if job["Reason"] == "BeginTime"]
        for job in held:
            self.say("scontrol", "update", f"JobId={job}", "StartTime=now")
        return bool(held)

    @contextmanager
    def snakemake(self, checkout: Checkout, *arguments: str, **environment: str) -> Iterator[Snakemake]:
        """Run the workflow with the project's profile, at most as long as the block."""
        (checkout.path / "partitions.yaml").write_text(PARTITIONS, encoding="utf-8")
        # Slurm is asked often, and the disk is not shared.
        quick = ("--slurm-init-seconds-before-status-checks=1", "--latency-wait=5", "--slurm-partition-config=partitions.yaml")
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *quick, *arguments]
        log = checkout.path / "snakemake.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                command, cwd=checkout.path, env=self.environment | environment, stdout=said, stderr=subprocess.STDOUT
            )
        try:
            yield Snakemake(process, log)
        finally:
            process.kill()
            process.wait()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster in a folder and on ports of its own, and stop it with all its jobs."""
    # Not pytest's folder: the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    environment = {
        **os.environ,
        "PATH": f"{folder}/cluster/bin:/usr/sbin:{os.environ['PATH']}",
        "SLURM_LOCAL_DIR": f"{folder}/cluster",
        "SLURM_LOCAL_PORT": str(_free_ports()),
        "SLURM_CONF": f"{folder}/cluster/slurm.conf",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        subprocess.run([SCRIPT, "up"], env=environment, check=True, timeout=90)
        yield Cluster(environment)
    finally:
        subprocess.run([SCRIPT, "down"], env=environment, check=True, timeout=90)
        shutil.rmtree(folder)


def _free_ports() -> int:
    """Return a free port after which there is another."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def trained_now(folder: Path, role: str) -> dict[str, str] | None:
    """Return the environment of the process that trains a role in a clone, once training has begun, and SIGTERM is caught."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            if not line.startswith(b"python\0-m\0palimpsest.launch") or f'"role":"{role}"'.encode() not in line:
                continue
            if (process / "cwd").resolve() == folder.resolve() and catches_sigterm(process.name):
                entries = (process / "environ").read_text().split("\0")
                return dict(entry.partition("=")[::2] for entry in entries)
        except OSError:  # It ended meanwhile.
            continue
    return None
