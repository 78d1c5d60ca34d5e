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
from palimpsest.audit.chain import inputs_of
from palimpsest.audit.planned import Planned, Project
from palimpsest.audit.study import check_today
from palimpsest.contract.equivalences import read_equivalences
from palimpsest.environment import NO_STORE, SCRATCH, STORE
from palimpsest.errors import DIVERGED_EXIT, UserError
from palimpsest.names import Agreement
from palimpsest.provenance.digest import code_today
from palimpsest.provenance.manifest import MANIFEST
from palimpsest.study.library import in_use
from palimpsest.study.rules import job_environment
from palimpsest.study.stages import STAGES, agreement_of

# The parts of the environment that must be equal for equal bytes.
SAME = ("python", "packages", "device", "cpu", "image", "processes")


@dataclass(frozen=True)
class Redone:
    """An artefact made again: the class of the comparison, the reasons for disagreement, and the duration in seconds."""

    path: str
    agreed: Agreement
    reasons: list[str]
    seconds: float
    content: str
    """The hash of what was made; empty if nothing was made."""
    elsewhere: list[str]
    """The parts of the environment, such as packages, in which the new artefact differs from the existing one."""

    def __str__(self) -> str:
        result = "; ".join(self.reasons) or "agrees"
        return f"{self.path} ({self.agreed}, {self.seconds} s): {result}"


def draw(
    artefacts: Mapping[str, Artefact],
    planned: Mapping[str, Planned],
    sample: int,
    seed: int,
    only: Collection[str] = (),
    called: str = "",
) -> list[str]:
    """Return the paths of randomly drawn artefacts of the study, only from some stages; raises UserError if there are too few.

    What reads weights that were pruned cannot be made, and is not drawn. `called` is Snakemake's name for the results.
    """
    asked = sorted(path for path in planned if path in artefacts and (not only or planned[path].command.stage in only))
    paths = [path for path in asked if not _reads_pruned(planned[path], artefacts, called)]
    if not 0 < sample <= len(paths):
        without = f"; {len(asked) - len(paths)} more read weights that were pruned" if len(asked) > len(paths) else ""
        stages = " of these stages" if only else ""
        raise UserError(f"--sample {sample}: the study has only {len(paths)} artefacts{stages}{without}")
    return sorted(random.Random(seed).sample(paths, sample))


def _reads_pruned(job: Planned, artefacts: Mapping[str, Artefact], called: str) -> bool:
    row = STAGES.get(job.command.stage.rpartition(".")[2])
    return (
        row is not None
        and row.is_measured
        and any(artefacts[path].pruned for path in inputs_of(job, called).values() if path in artefacts)
    )


def redo(
    drawn: Sequence[tuple[Artefact, Planned]], project: Project, scratch: Path, agreed: Agreement | None = None
) -> Iterator[Redone]:
    """Make artefacts again from the existing inputs and yield each comparison, by the class that its stage declares.

    Stale artefacts are not made, because they would differ.
    """
    known = read_equivalences(project.results)
    for number, (artefact, job) in enumerate(drawn):
        out, started = scratch / str(number), time.monotonic()
        stale = [finding.reason for finding in check_today(artefact, job, known)]
        reasons = stale or make_again(job, out, project, scratch, code_of(artefact, job))
        made = Artefact(artefact.path, out)
        by = agreed or class_of(artefact, made)
        content, elsewhere = ("", []) if reasons else (made.content, other_environment(artefact, made))
        if not reasons:
            reasons = [f"{each.file}: {each.reason}" for each in compare_folders(artefact.folder, out, by)]
        yield Redone(artefact.path, by, reasons, round(time.monotonic() - started, 1), content, elsewhere)


def code_of(artefact: Artefact, job: Planned) -> str:
    """Return today's code of an artefact; that which its job names may be older code, accepted as equal to it."""
    try:
        return code_today(job.command.stage, job.command.code)
    except ModuleNotFoundError:
        raise UserError(f"{artefact.path}: made by modules that no longer exist: run snakemake again") from None


def class_of(first: Artefact, second: Artefact) -> Agreement:
    """Return how closely two versions must agree: in their bytes in equal environments without a GPU, otherwise as declared."""
    if not other_environment(first, second) and (first.environment or {}).get("device") == "cpu":
        return "bitwise"
    return agreement_of(first.manifest["stage"])


def other_environment(first: Artefact, second: Artefact) -> list[str]:
    """Return the parts of the environment in which two versions differ; their bytes may then differ with the same code."""
    one, other = first.environment or {}, second.environment or {}
    return [name for name in SAME if one.get(name) != other.get(name)]


def make_again(job: Planned, out: Path, project: Project, scratch: Path, code: str) -> list[str]:
    """Run a job's command with another output folder and a code; return its last message if it fails."""
    command = job.command
    # A spec may be longer than Linux allows for an argument.
    spec = out.with_name(f"{out.name}.spec")
    spec.write_text(command.spec, encoding="utf-8")
    arguments = [*command.before[1:], "--spec", f"@{spec}", "--code", code, "--out", str(out / MANIFEST)]
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
