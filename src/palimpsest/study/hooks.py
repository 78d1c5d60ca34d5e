"""Handlers around a run of Snakemake: they mark an outdated report, report gaps, and set the exit code.

Snakemake does not make a report if one of its inputs is missing. So after a run with failed jobs the same command runs once more,
only for the report, which then names each gap and its reason.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from palimpsest import environment, leases
from palimpsest.errors import DIVERGED_EXIT, SNAKEMAKE_RUN, BrokenArtefact
from palimpsest.provenance.manifest import ENVIRONMENT, MANIFEST, read_environment
from palimpsest.report import outdated
from palimpsest.storing import told_unshared
from palimpsest.study import console
from palimpsest.study.places import BASE, DEPLOYED
from palimpsest.study.processor import slow_models
from palimpsest.study.rules import run_of
from palimpsest.study.storage import Storage, fetched
from palimpsest.study.study import GAPS, Study
from palimpsest.warm import WARM, Warm

# The rules that make a report from the available numbers; `all` and `report` request it.
REPORTING = ("scores", "summarise", "page", "publish", "all", "report")
PUBLISH = "publish"
PAGES = ("report.html", "samples.html")
LISTED = 10
# Snakemake's options without a value that force jobs; `--forcerun` without one forces none.
FORCING_ALL = ("--force", "-f", "--forceall", "-F")
# Fewer jobs take less time than the start of a warm process.
FEWEST = 4
# Snakemake's own limit: at most so many jobs start in so many seconds.
DEFAULT_LIMIT = (100, 1)


class Remade(Protocol):
    """The pruned models that a run makes again."""

    forced: dict[str, str]

    def changed(self) -> list[str]:
        """Return those that have other bytes now."""

    def is_finished(self) -> bool:
        """Return whether everything that the study asks for is there, and is current."""


def started(workflow: Any, study: Study, remade: Remade, storage: Storage | None) -> None:
    """Mark the report of an earlier state of the study as outdated, before anything changes, and start the warm process.

    A report on a storage stays as it is until it is replaced.
    """
    jobs = list(workflow.dag.needrun_jobs())
    if storage is None and any(job.rule.name != PUBLISH for job in jobs):
        for page in PAGES:
            outdated.mark(Path(study.results, page))
    if printed := console.installed():
        printed.plan(jobs, _earlier(workflow.dag.jobs))
        logs = [os.path.relpath(path) for path in workflow.logger_manager.get_logfile()]
        _say([f"{len(jobs)} job{'s' * (len(jobs) != 1)}; all that Snakemake says is in {', '.join(logs) or 'no log'}"])
    if BASE.is_file() and DEPLOYED.is_file() and BASE.read_bytes() != DEPLOYED.read_bytes():
        _say([f"{BASE} and {DEPLOYED} differ, and shipped studies read the second; to copy: python -m palimpsest.study write"])
    if workflow.local_exec and jobs and (slow := slow_models(study)):
        _say(slow)
    if remade.forced:
        _say(["weights that were pruned are made again, because a job reads them:", *remade.forced])
    _lift_default_limit(workflow.scheduler)
    is_plain = workflow.local_exec and not workflow.touch and not workflow.deployment_settings.deployment_method
    if len(jobs) >= FEWEST and is_plain and sys.platform == "linux" and WARM not in os.environ and _without_gpu(study):
        warm = Warm()
        atexit.register(warm.stop)
        os.environ[WARM] = str(warm.socket)


def _lift_default_limit(scheduler: Any) -> None:
    """Let jobs start without a limit per second, unless the user gave one.

    With a limit, Snakemake 9 looks at all ready jobs once more a second for each job that has ended, up to a full core.
    """
    limiter = scheduler.job_rate_limiter
    if limiter is not None and (limiter.max_jobs, limiter.timespan) == DEFAULT_LIMIT:
        scheduler.job_rate_limiter = None


def _earlier(jobs: Iterable[Any]) -> dict[str, float]:
    """Return the mean seconds of finished jobs by rule, as their artefacts record them."""
    seconds: dict[str, list[float]] = {}
    for job in jobs:
        for path in _manifests([job]):
            # The estimate goes without a job whose record is missing or broken.
            with suppress(BrokenArtefact, KeyError, TypeError, ValueError):
                if record := read_environment(Path(path).with_name(ENVIRONMENT)):
                    seconds.setdefault(job.rule.name, []).append(float(record["seconds"]))
    return {rule: sum(of_rule) / len(of_rule) for rule, of_rule in seconds.items()}


def _without_gpu(study: Study) -> bool:
    """Return whether some jobs request no GPU and see none; CUDA cannot be used in a fork."""
    sees_none = environment.gpus() is not None or not leases.pool(os.environ)
    return sees_none and any(model.resources.gpu == 0 for model in study.config.models.values())


def succeeded(workflow: Any, study: Study, remade: Remade, storage: Storage | None) -> None:
    """Remove the mark from an up-to-date report; name the artefacts that diverged, and exit with the code for divergence.

    If a pruned model was made again with other bytes, the same command runs once more for what was made of the pruned ones.
    """
    if changed := remade.changed():
        _say([*_other_bytes(changed), "now what was made of the pruned ones is made again"])
        if _is_command():
            sys.exit(_run_again(workflow))
    pages = [Path(study.results, name) for name in PAGES]
    is_published = any(job.rule.name == PUBLISH for job in workflow.dag.jobs)
    # A run by name may have made again what was there, with the same bytes.
    if is_published or (any(map(outdated.is_marked, pages)) and remade.is_finished()):
        for page in pages:
            outdated.unmark(page, page.parent / "report" / page.name)
    if is_published:
        report = f"{study.results}/{PAGES[0]}"
        _say([f"the report is {storage.address(report) if storage else report}"])
    made = _manifests(workflow.dag.jobs, storage)
    with fetched(made, storage) as folder:
        told = [f"{path}: {what}" for path in made if (what := _diverged(folder / path))]
    _say_unshared(study)
    if told:
        _say([f"{len(told)} artefacts diverged; the report shows them as results:", *told])
        sys.exit(DIVERGED_EXIT)


def failed(workflow: Any, study: Study, remade: Remade, storage: Storage | None) -> None:
    """Make the report with the gaps that failed jobs leave, unless the run was stopped or no report was requested."""
    if changed := remade.changed():
        _say([*_other_bytes(changed), "run snakemake again, which makes again what was made of the pruned ones"])
    _say_unshared(study)
    scheduler = workflow.scheduler
    was_stopped = scheduler.running or scheduler._user_kill
    if was_stopped or GAPS in os.environ or not any(job.rule.name == PUBLISH for job in workflow.dag.jobs):
        return
    gaps = _gaps(workflow.dag, scheduler.failed, storage)
    if not gaps or not _is_command():
        return
    _say([f"{len(gaps)} artefacts could not be made; the report is made with these gaps:", *map(": ".join, gaps.items())])
    listed = Path(study.results, ".scratch", "gaps.json")
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text(json.dumps(gaps, indent=1), encoding="utf-8")
    _run_again(workflow, "--allowed-rules", *REPORTING, environment={GAPS: str(listed)})


def _is_command() -> bool:
    """Return whether Snakemake's command line runs, and not a program that uses its API."""
    return Path(sys.argv[0]).stem in ("snakemake", "__main__")


def _run_again(workflow: Any, *more: str, environment: Mapping[str, str] | None = None) -> int:
    """Run the command of this run, which still holds the lock, as a part of it; return its exit code.

    It forces no job once more: a forced job whose bytes never repeat would be forced again and again.
    """
    words = [word for word in sys.argv[1:] if word not in FORCING_ALL]
    again = [sys.executable, "-m", "snakemake", *words, "--forcerun", "--nolock", *more]
    surroundings = {**os.environ, SNAKEMAKE_RUN: run_of(workflow), **(environment or {})}
    return subprocess.run(again, env=surroundings, check=False).returncode


def _other_bytes(changed: list[str]) -> list[str]:
    return ["models that were made again have other bytes than before they were pruned:", *changed]


def _gaps(dag: Any, failures: Iterable[Any], storage: Storage | None) -> dict[str, str]:
    """Return by manifest why each planned artefact was not made: its own job failed, or an upstream job."""
    failed_jobs = {job for failure in failures for job in getattr(failure, "jobs", [failure])}
    reasons: dict[Any, str] = {job: f"failed: {_last_words(job)}" for job in failed_jobs}

    def reason(job: Any) -> str | None:
        if job not in reasons:
            upstream = (reason(each) for each in dag.dependencies[job] if each in unfinished)
            reasons[job] = next(filter(None, upstream), "not made: the run ended before it")
        return reasons[job]

    unfinished = {job for job in dag.needrun_jobs() if not dag.finished(job)}
    order = sorted((job for job in unfinished if job.rule.name not in REPORTING), key=str)
    return {path: str(reason(job)) for job in order for path in _manifests([job], storage)}


def _last_words(job: Any) -> str:
    """Return the last line of a job's log, which says why a stage ended."""
    lines = console.read_log(Path(str(job.log[0])) if job.log else None)
    if not lines:
        return f"{job.rule.name} failed without a message"
    _, marked, line = lines[-1].partition(": ")
    return line if marked and lines[-1].startswith("palimpsest ") else f"{job.rule.name} ended after: {lines[-1]}"


def _manifests(jobs: Iterable[Any], storage: Storage | None = None) -> list[str]:
    """Return the manifests that jobs make, by their paths without a storage."""
    paths = {str(output) for job in jobs for output in job.output if Path(output).name == MANIFEST}
    return sorted(storage.without_root(path) for path in paths) if storage else sorted(paths)


def _diverged(manifest: Path) -> str | None:
    """Return how an artefact diverged; None if it did not diverge or does not exist."""
    try:
        text = manifest.read_text(encoding="utf-8")
    except OSError:
        return None
    if '"diverged"' not in text or not (record := json.loads(text).get("diverged")):
        return None
    where = "" if record["step"] is None else f"step {record['step']} of {record['steps']}: "
    return f"{where}{record['what']}"


def _say_unshared(study: Study) -> None:
    """Say how much the store holds that nobody uses, once in a run: not again after the report with gaps."""
    if GAPS not in os.environ and (line := told_unshared(study.results)):
        _say([line])


def _say(lines: list[str]) -> None:
    more = [f"... and {len(lines) - LISTED - 1} more"] if len(lines) > LISTED + 1 else []
    print("\n  ".join([f"palimpsest: {lines[0]}", *lines[1 : LISTED + 1], *more]), file=sys.stderr)
