"""What a run prints: a line for each finished job, and of a failure first its cause. Everything else is in Snakemake's log."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
# The last lines of a log that are printed if a job ended with an error that no user made.
TAIL = 15
# Lines of Snakemake that this replaces.
NOISE = (
    *("Select jobs to execute...", "Using shell: ", "Conda environments: ignored", "Singularity containers: ignored"),
    *("Exiting because a job execution failed.", "Job failed, going on with independent jobs."),
    # One line for each file that goes to a storage or comes from it.
    *("Storing in storage: ", "Finished upload.", "Retrieving from storage: ", "Finished retrieval."),
    "Removing local copy of storage file: ",
    # The shell around a job that failed.
    "RuleException:\nCalledProcessError in file ",
)


# How long jobs take in the demo, relative to each other, until a rule has times of its own; every other rule takes 1.
USUAL = {"base_tiny": 60, "finetune": 25, "unlearn": 4, "attack": 4, "evaluate": 4, "page": 4, "reinforce": 2, "prune": 0.1}
# The share of a run that says how long the rest takes; the first jobs are short and start slowly.
ENOUGH = 0.05


class Estimate:
    """How long a run will take, by the times of its finished jobs and, of rules without any, by those of earlier runs."""

    def __init__(self, planned: Mapping[str, int], earlier: Mapping[str, float], now: float) -> None:
        """Take the number of jobs by rule, and the mean seconds of earlier ones."""
        self._left, self._earlier, self._began = Counter(planned), dict(earlier), now
        self._running: dict[int, tuple[str, float]] = {}
        self._seconds: dict[str, list[float]] = {}

    def start(self, job: int, rule: str, now: float) -> None:
        """Count a job as running."""
        self._running[job] = (rule, now)

    def stop(self, job: int, now: float, *, finished: bool) -> float:
        """Count a job as ended and return its seconds; a failed job says nothing about others."""
        rule, began = self._running.pop(job)
        if finished:
            self._left[rule] -= 1
            self._seconds.setdefault(rule, []).append(now - began)
        return now - began

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, at the pace of the work so far; None before enough of the run is done."""
        done = sum(map(sum, self._seconds.values()))
        running = [(rule, now - began) for rule, began in self._running.values()]
        work = done + sum(seconds for _, seconds in running)
        usual_done = sum(USUAL.get(rule, 1) * len(of_rule) for rule, of_rule in self._seconds.items())
        usual_left = sum(USUAL.get(rule, 1) * count for rule, count in self._left.items())
        if not usual_done or work <= 0 or (usual_done < ENOUGH * (usual_done + usual_left) and self._left.keys() - self._earlier):
            return None
        mean = {rule: USUAL.get(rule, 1) * done / usual_done for rule in self._left} | self._earlier
        mean |= {rule: sum(of_rule) / len(of_rule) for rule, of_rule in self._seconds.items()}
        planned = sum(count * mean[rule] for rule, count in self._left.items())
        begun = sum(min(seconds, mean.get(rule, 0.0)) for rule, seconds in running)
        # Jobs run at the same time, so a second of the clock does more than a second of work.
        return (planned - begun) * (now - self._began) / work


class Console(logging.StreamHandler[Any]):
    """The handler of Snakemake's messages that prints to the terminal."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._messages: dict[int, str] = {}
        self._ended: list[tuple[str, float]] = []
        self._estimate = Estimate({}, {}, time.monotonic())

    def plan(self, jobs: Iterable[Any], earlier: Mapping[str, float]) -> None:
        """Take the jobs that will run, and the mean seconds of earlier ones by rule."""
        self._estimate = Estimate(Counter(job.rule.name for job in jobs), earlier, time.monotonic())

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message, as far as it is for a reader."""
        of: dict[str, Any] = record.__dict__
        event, now = str(of.get("event", "")), time.monotonic()
        if event == "job_info":
            self._messages[of["jobid"]] = of["rule_msg"] or of["rule_name"]
            self._estimate.start(of["jobid"], of["rule_name"], now)
        elif event == "job_finished":
            self._ended.append((self._messages[of["job_id"]], self._estimate.stop(of["job_id"], now, finished=True)))
        elif event == "progress":
            self._progress(of["done"], of["total"], now)
        elif event in ("job_error", "group_error"):
            for job in of.get("job_error_info", [of]):
                self._estimate.stop(job["jobid"], now, finished=False)
                self._write(failure(self._messages[job["jobid"]], [Path(path) for path in job["log"]]))
        elif not event or record.levelno >= logging.WARNING:
            text = str(record.msg or "")
            if text and not text.startswith(NOISE):
                self._write(text)

    def _progress(self, done: int, total: int, now: float) -> None:
        for number, (message, seconds) in enumerate(self._ended, start=done - len(self._ended) + 1):
            left = self._estimate.left(now) if number == done < total else None
            rest = "" if left is None else f"; {in_words(left)} left"
            self._write(f"{number:{len(str(total))}} of {total}  {message} ({seconds:.0f} s){rest}")
        self._ended.clear()

    def _write(self, text: str) -> None:
        self.stream.write(f"{text}\n")
        self.flush()


def failure(message: str, logs: Iterable[Path]) -> str:
    """Return what is printed of a failed job: its cause, the job in words, and its log."""
    log = next(iter(logs), None)
    lines = read_log(log)
    is_told = bool(lines) and lines[-1].startswith("palimpsest ")
    cause = lines[-1] if lines else "ended without a message"
    tail = [] if is_told else [f"  | {line}" for line in lines[-TAIL:]]
    return "\n".join([cause, f"  failed: {message}", *tail, *([f"  its log: {log}"] if log else [])])


def read_log(log: Path | None) -> list[str]:
    """Return the lines of a job's log, of which the last says why a stage ended; none if there is no such file."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log else []
    except OSError:
        return []


def in_words(seconds: float) -> str:
    """Return a time as one says it: "about 4 minutes"."""
    if seconds < MINUTE:
        return "less than a minute"
    unit, name = (MINUTE, "minute") if seconds < 2 * HOUR else (HOUR, "hour") if seconds < 2 * DAY else (DAY, "day")
    count = round(seconds / unit)
    return f"about {count} {name}{'' if count == 1 else 's'}"


def install(workflow: Any) -> None:
    """Print a run in this way, unless the command asks for another one or only plans; cluster jobs print as Snakemake does.

    So does a workflow of which this one is a module.
    """
    from snakemake.logging import logger

    asked = workflow.output_settings
    is_other = asked.dryrun or asked.verbose or asked.printshellcmds or asked.debug_dag or asked.quiet
    is_module = not workflow.modifier.is_main_snakefile()
    if is_other or is_module or not workflow.is_main_process:
        return
    for handler in list(logger.handlers):
        if handler.name == "DefaultStreamHandler":
            logger.removeHandler(handler)
            logger.addHandler(Console(handler.stream))


def installed() -> Console | None:
    """Return the handler that prints this run; None if Snakemake prints it."""
    from snakemake.logging import logger

    return next((handler for handler in logger.handlers if isinstance(handler, Console)), None)
