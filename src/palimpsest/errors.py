"""Errors that end a stage with one line, and all exit codes of a stage; docs/faults.md explains each code."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any, Self

# User error: a wrong config, a broken artefact, a full disk, an unreachable Hub. The user fixes it and reruns.
USER_ERROR_EXIT = 2
# Training or evaluation met a number that is not finite; the artefact is made and records where.
DIVERGED_EXIT = 3
# Out of memory (the number of ENOMEM): rerun with more memory.
MEMORY_EXIT = 12
# The codes that a shell reports for a process ended by SIGKILL or SIGTERM, which schedulers know.
KILLED_EXIT = 128 + signal.SIGKILL
INTERRUPTED_EXIT = 128 + signal.SIGTERM

# Identifies the run of Snakemake that a job belongs to; within one run, user errors are not retried.
SNAKEMAKE_RUN = "PALIMPSEST_RUN"
LONGEST = 2000


class UserError(Exception):
    """A user error in a config, a path or an input: one clear line (what, where, what is allowed), exit 2, no traceback."""

    exit = USER_ERROR_EXIT

    def __str__(self) -> str:
        """Return the message as one printable line of limited length, even if it quotes other text."""
        text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in super().__str__())
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


class BrokenArtefact(UserError):
    """An artefact whose files differ from its manifest."""


class OutOfMemory(UserError):
    """Memory ran out on the machine, at a limit, or on the GPU: one line and a separate exit code."""

    exit = MEMORY_EXIT


class Diverged(UserError):
    """Training or evaluation met numbers that are not finite; this is a result, which the artefact records.

    `step` counts from 1 and is None outside training; `log` holds the entries of the training so far.
    """

    exit = DIVERGED_EXIT

    def __init__(self, what: str, step: int | None = None, steps: int | None = None, log: Sequence[dict[str, Any]] = ()) -> None:
        where = "" if step is None else f" at step {step} of {steps}"
        super().__init__(f"diverged{where}: {what}")
        self.what, self.step, self.steps = what, step, steps
        self.log = list(log)

    @property
    def record(self) -> dict[str, Any]:
        """The entry of a manifest for this error."""
        return {"what": self.what, "step": self.step, "steps": self.steps}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the error that a manifest records."""
        return cls(record["what"], record["step"], record["steps"])


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, with the second if the first ends in a colon; the class name if it is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
