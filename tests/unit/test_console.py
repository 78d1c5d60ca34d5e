"""What a run prints: a line per finished job with the time that is left, and of a failure its cause first."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest

from palimpsest.study.console import TAIL, Console, Estimate, failure, in_words


def test_what_is_left_takes_as_long_as_finished_jobs_of_the_same_rule() -> None:
    estimate = Estimate({"a": 4, "b": 1}, {"b": 100.0}, now=0)
    assert estimate.left(0) is None
    estimate.start(1, "a", 0)
    assert estimate.left(5) is None
    assert estimate.stop(1, 10, finished=True) == 10
    # Three of 10 s, and one that took 100 s in an earlier run.
    assert estimate.left(10) == pytest.approx(130)
    estimate.start(2, "b", 10)
    assert estimate.left(60) == pytest.approx(80)
    estimate.stop(2, 60, finished=True)
    assert estimate.left(60) == pytest.approx(30)


def test_a_rule_of_which_nothing_is_known_takes_as_long_as_the_others() -> None:
    estimate = Estimate({"a": 1, "b": 2}, {}, now=0)
    estimate.start(1, "a", 0)
    estimate.stop(1, 10, finished=True)
    assert estimate.left(10) == pytest.approx(20)


def test_until_a_rule_has_times_it_takes_what_it_usually_does() -> None:
    estimate = Estimate({"data": 1, "base_tiny": 1, "finetune": 2, "unlearn": 5}, {}, now=0)
    estimate.start(1, "data", 0)
    estimate.stop(1, 20, finished=True)
    # The first of 131 parts says too little.
    assert estimate.left(20) is None
    estimate.start(2, "base_tiny", 20)
    estimate.stop(2, 61, finished=True)
    assert estimate.left(61) == pytest.approx(2 * 25 + 5 * 4)
    # After an earlier run it is known at once.
    estimate = Estimate({"data": 1, "base_tiny": 1}, {"data": 1.0, "base_tiny": 30.0}, now=0)
    estimate.start(1, "data", 0)
    estimate.stop(1, 20, finished=True)
    assert estimate.left(20) == pytest.approx(30)


def test_jobs_at_the_same_time_end_sooner() -> None:
    estimate = Estimate({"a": 8}, {}, now=0)
    for job in (1, 2):
        estimate.start(job, "a", 0)
    for job in (1, 2):
        estimate.stop(job, 10, finished=True)
    assert estimate.left(10) == pytest.approx(30)


def test_a_job_that_runs_long_takes_nothing_from_the_others_and_a_failed_one_tells_nothing() -> None:
    estimate = Estimate({"a": 3}, {}, now=0)
    estimate.start(1, "a", 0)
    estimate.stop(1, 10, finished=True)
    estimate.start(2, "a", 10)
    assert estimate.left(1000) == pytest.approx(10)
    estimate.stop(2, 1000, finished=False)
    assert estimate.left(1000) == pytest.approx(20 * 1000 / 10)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (59, "less than a minute"),
        (60, "about 1 minute"),
        (239, "about 4 minutes"),
        (7199, "about 120 minutes"),
        (7200, "about 2 hours"),
        (2 * 86400, "about 2 days"),
    ],
)
def test_a_time_is_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


class Rule:
    """A job of Snakemake, as far as the console looks at it."""

    def __init__(self, name: str) -> None:
        self.rule, self.name = self, name


def said(*records: dict[str, Any], jobs: int = 2, level: int = logging.INFO) -> list[str]:
    """Return the lines that records print."""
    stream = io.StringIO()
    console = Console(stream)
    console.plan([Rule("unlearn") for _ in range(jobs)], {})
    for record in records:
        console.emit(logging.makeLogRecord({"levelno": level, **record}))
    return stream.getvalue().splitlines()


def started(job: int, message: str | None) -> dict[str, Any]:
    return {"event": "job_info", "jobid": job, "rule_name": "unlearn", "rule_msg": message}


def finished(job: int) -> dict[str, Any]:
    return {"event": "job_finished", "job_id": job}


def test_a_finished_job_is_a_line_that_says_how_far_the_study_is() -> None:
    lines = said(
        started(1, "Unlearning with npo"),
        finished(1),
        {"event": "progress", "done": 1, "total": 12},
        started(2, None),
        finished(2),
        {"event": "progress", "done": 2, "total": 12},
        jobs=12,
    )
    assert lines == [
        " 1 of 12  Unlearning with npo (0 s); less than a minute left",
        " 2 of 12  unlearn (0 s); less than a minute left",
    ]


def test_of_jobs_that_end_together_the_last_says_what_is_left() -> None:
    lines = said(
        *(started(job, f"job {job}") for job in (1, 2)), finished(1), finished(2), {"event": "progress", "done": 2, "total": 3}
    )
    assert lines == ["1 of 3  job 1 (0 s)", "2 of 3  job 2 (0 s); less than a minute left"]


def test_the_last_job_leaves_nothing() -> None:
    assert said(started(1, "job"), finished(1), {"event": "progress", "done": 1, "total": 1}, jobs=1) == ["1 of 1  job (0 s)"]


def test_what_snakemake_says_of_its_own_is_dropped_but_not_its_warnings() -> None:
    lines = said(
        {"event": "shellcmd", "msg": "python -m ..."},
        {"event": "resources_info", "msg": "Provided cores: 2"},
        {"msg": "Select jobs to execute..."},
        {"msg": "Trying to restart job 3."},
        {"msg": None},
    )
    assert lines == ["Trying to restart job 3."]
    assert said({"event": "error", "msg": "Directory cannot be locked."}, level=logging.ERROR) == ["Directory cannot be locked."]


@pytest.mark.parametrize("as_group", [False, True])
def test_of_a_failure_the_cause_comes_first(tmp_path: Path, as_group: bool) -> None:
    log = tmp_path / "job.log"
    log.write_text("palimpsest INFO: reading\npalimpsest unlearn: forget.jsonl: sha256 is abc, not def\n")
    job = {"jobid": 1, "rule_name": "unlearn", "log": [str(log)], "shellcmd": "set -euo pipefail; python"}
    record = {"event": "group_error", "job_error_info": [job]} if as_group else {"event": "job_error", **job}
    lines = said(started(1, "Unlearning with npo"), record, level=logging.ERROR)
    assert lines == [
        "palimpsest unlearn: forget.jsonl: sha256 is abc, not def",
        "  failed: Unlearning with npo",
        f"  its log: {log}",
    ]


def test_an_error_that_is_no_user_s_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("\n".join([*(f"line {number}" for number in range(50)), "ValueError: broken"]))
    lines = failure("Unlearning", [log]).splitlines()
    assert lines[:2] == ["ValueError: broken", "  failed: Unlearning"] and lines[-1] == f"  its log: {log}"
    assert len(lines) == 3 + TAIL and lines[2] == "  | line 36" and lines[-2] == "  | ValueError: broken"
    assert failure("Unlearning", [tmp_path / "none.log"]).splitlines()[0] == "ended without a message"
    assert failure("Unlearning", []) == "ended without a message\n  failed: Unlearning"
