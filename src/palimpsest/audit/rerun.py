"""Make artefacts again in a separate folder, and compare them with the existing ones."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from palimpsest.audit.agreement import compare_folders
from palimpsest.audit.artefacts import Artefact
from palimpsest.audit.planned import Planned, Project
from palimpsest.audit.study import check_today
from palimpsest.environment import NO_STORE, SCRATCH, STORE
from palimpsest.errors import DIVERGED_EXIT, UserError
from palimpsest.names import Agreement
from palimpsest.provenance.manifest import MANIFEST
from palimpsest.study.library import in_use
from palimpsest.study.rules import job_environment
from palimpsest.study.stages import agreement_of

# The parts of the environment that must be equal for equal bytes.
SAME = ("python", "packages", "device", "cpu", "image", "processes")


@dataclass(frozen=True)
class Redone:
    """An artefact made again: the class of the comparison, the reasons for disagreement, and the duration in seconds."""

    path: str
    agreed: Agreement
    reasons: list[str]
    seconds: float

    def __str__(self) -> str:
        result = "; ".join(self.reasons) or "agrees"
        return f"{self.path} ({self.agreed}, {self.seconds} s): {result}"


def draw(
    artefacts: Collection[str], planned: Mapping[str, Planned], sample: int, seed: int, only: Collection[str] = ()
) -> list[str]:
    """Return the paths of randomly drawn artefacts of the study, only from some stages; raises UserError if there are too few."""
    paths = sorted(path for path in planned if path in artefacts and (not only or planned[path].command.stage in only))
    if not 0 < sample <= len(paths):
        raise UserError(f"--sample {sample}: the study has only {len(paths)} artefacts{' of these stages' if only else ''}")
    return sorted(random.Random(seed).sample(paths, sample))


def redo(
    drawn: Sequence[tuple[Artefact, Planned]], project: Project, scratch: Path, agreed: Agreement | None = None
) -> Iterator[Redone]:
    """Make artefacts again from the existing inputs and yield each comparison, by the class that its stage declares.

    Stale artefacts are not made, because they would differ.
    """
    for number, (artefact, job) in enumerate(drawn):
        out, started = scratch / str(number), time.monotonic()
        stale = [finding.reason for finding in check_today(artefact, job)]
        reasons = stale or _run(job, out, project, scratch)
        by = agreed or class_of(artefact, Artefact(artefact.path, out))
        if not reasons:
            reasons = [f"{each.file}: {each.reason}" for each in compare_folders(artefact.folder, out, by)]
        yield Redone(artefact.path, by, reasons, round(time.monotonic() - started, 1))


def class_of(first: Artefact, second: Artefact) -> Agreement:
    """Return how closely two versions must agree: in their bytes in equal environments without a GPU, otherwise as declared."""
    one, other = first.environment or {}, second.environment or {}
    if all(one.get(name) == other.get(name) for name in SAME) and one.get("device") == "cpu":
        return "bitwise"
    return agreement_of(first.manifest["stage"])


def _run(job: Planned, out: Path, project: Project, scratch: Path) -> list[str]:
    """Run a job's command with another output folder; return its last message if it fails."""
    command = job.command
    arguments = [*command.before[1:], "--spec", command.spec, "--code", command.code, "--out", str(out / MANIFEST)]
    arguments += [word for label, source in command.inputs.items() for word in ("--in", f"{label}={source}")]
    own = {SCRATCH: f"{scratch}/.scratch", STORE: NO_STORE, "OMP_NUM_THREADS": str(job.threads)}
    environment = {**os.environ, **job_environment(in_use(), project.called), **own}
    log = out.with_name(f"{out.name}.log")
    with log.open("w") as file:
        done = subprocess.run([sys.executable, *arguments], cwd=project.workdir, env=environment, stdout=file, stderr=file)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return (
        []
        if done.returncode in (0, DIVERGED_EXIT)
        else [f"exit code {done.returncode}: {lines[-1] if lines else 'it said nothing'}"]
    )
