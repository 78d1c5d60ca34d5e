"""The jobs that Snakemake would run for a study today, and its records of earlier jobs."""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palimpsest.audit.artefacts import CONFIG
from palimpsest.errors import UserError
from palimpsest.provenance.digest import stage_name
from palimpsest.provenance.manifest import MANIFEST
from palimpsest.study.files import read_file
from palimpsest.study.library import in_use

_is_planning = ContextVar("is_planning", default=False)


@dataclass(frozen=True)
class Command:
    """The command line of a stage; `before` is the part before the stage's arguments, and inputs are manifests by label."""

    before: list[str]
    stage: str
    spec: str
    code: str
    inputs: dict[str, Path]
    out: Path


@dataclass(frozen=True)
class Record:
    """Snakemake's record of the job that made a file."""

    command: Command | None
    image: str | None
    incomplete: bool


@dataclass(frozen=True)
class Planned:
    """The job that makes an artefact, as it would run today; `record` is None if Snakemake has no record."""

    rule: str
    threads: int
    command: Command
    record: Record | None
    changed: list[str] = field(default_factory=list)
    """The changes that Snakemake itself detects: code, input, params."""


@dataclass(frozen=True)
class Project:
    """Results with their study: the folder that Snakemake ran in, and its name for the results folder."""

    results: Path
    workdir: Path
    called: str
    configs: list[Path]


def open_project(results: Path, configs: list[Path]) -> Project:
    """Return results with their study, from the given configs or from the config in the results.

    Raises UserError if there is none.
    """
    missing = UserError(f"{results}: no such folder of results")
    if not results.is_dir() and not configs:
        raise missing
    # Not resolved, because Snakemake knows linked results by the name of the link.
    results = Path(os.path.normpath(results.absolute()))
    configs = [path.resolve() for path in configs] or [results / CONFIG]
    called = results.name
    for path in configs:
        called = str(_read_config(path).get("results", called))
    parts = Path(called).parts
    # The folder was copied under another name, so Snakemake's records, if they were copied too, have the old name.
    if results.parts[-len(parts) :] != parts:
        parts = (results.name,)
    workdir = Path(*results.parts[: -len(parts)])
    if not workdir.is_dir():
        raise missing
    return Project(results, workdir, str(Path(*parts)), configs)


def plan_jobs(project: Project) -> dict[str, Planned]:
    """Return Snakemake's jobs of a study by the paths of their artefacts; raises UserError."""
    # Snakemake's API can only print a plan, so the last steps use its internals; the version is pinned.
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

    with _planning(), SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(
                config={"results": project.called}, configfiles=project.configs, replace_workflow_config=True
            ),
            snakefile=_snakefile(project),
            workdir=project.workdir,
        )
        workflow.dag(DAGSettings())
        own = workflow._workflow
        own._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True, nolock=True)
        try:
            own._build_dag()
        except WorkflowError as error:
            raise UserError(f"Snakemake cannot plan this study: {' '.join(str(error).split())}") from None
        return {path: planned for job in own.dag.jobs for path, planned in _planned(job, own.persistence, project)}


def _snakefile(project: Project) -> Path:
    """Return the Snakefile of the clone that the library is in, or of the deployment that the results are in."""
    if clone := in_use().clone:
        return clone / "Snakefile"
    deployed = project.workdir / "workflow" / "Snakefile"
    if not deployed.is_file():
        raise UserError(f"{deployed}: missing: run this command in a clone, or on the results of a deployment")
    return deployed


@contextmanager
def _planning() -> Iterator[None]:
    before = _is_planning.set(True)
    try:
        yield
    finally:
        _is_planning.reset(before)


def is_planning() -> bool:
    """Return whether the workflow is read only to list its jobs."""
    return _is_planning.get()


def read_command(text: str) -> Command | None:
    """Return the stage that a shell command runs; None if it runs none."""
    words = shlex.split(text)
    if "--spec" not in words:
        return None
    start = words.index("--spec") - 1
    # A long spec goes through a file, as `study.rules` writes it: `@<(printf %s SPEC)`.
    if words[start + 2] == "@<(printf":
        words[start + 2 : start + 5] = [words[start + 4].removesuffix(")")]
    before = words[: start + 1]
    # Variables of the command come first.
    while before and before[0] != "python":
        before.pop(0)
    named: dict[str, list[str]] = {}
    for flag, value in zip(words[start + 1 :: 2], words[start + 2 :: 2], strict=False):
        if flag.startswith("--"):
            named.setdefault(flag, []).append(value)
    pairs = [given.partition("=") for given in named.get("--in", [])]
    return Command(
        before=before,
        stage=stage_name(words[start]),
        spec=named["--spec"][0],
        code=named["--code"][0],
        inputs={label: Path(path) for label, _, path in pairs},
        out=Path(named["--out"][0]),
    )


def _planned(job: Any, persistence: Any, project: Project) -> Iterator[tuple[str, Planned]]:
    manifests = [output for output in job.output if Path(output).name == MANIFEST]
    command = read_command(job.shellcmd) if job.shellcmd and manifests else None
    if command is None:
        return
    (manifest,) = manifests
    # In a workflow that uses this one as a module, other rules make other results.
    if not Path(manifest).is_relative_to(project.called):
        return
    path = Path(manifest).parent.relative_to(project.called).as_posix()
    found = persistence.metadata(manifest)
    record = found and Record(
        command=read_command(found.shellcmd or ""),
        image=found.container_img_url,
        incomplete=bool(found.incomplete),
    )
    changes = {"code": persistence.code_changed, "input": persistence.input_changed, "params": persistence.params_changed}
    changed = [name for name, asks in changes.items() if found and asks(job, file=manifest)]
    yield path, Planned(job.rule.name, job.threads, command, record, changed)


def _read_config(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: there is no such config; give the study's with --configfile")
    return read_file(path)
