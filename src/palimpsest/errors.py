"""Errors that end a stage with one line, and every exit code of a stage: docs/faults.md says what to do for each."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any, Self

# A mistake in a config, a broken artefact, a full disk, a hub that does not answer: to be mended, then run again.
USER_ERROR_EXIT = 2
# A training or an evaluation met numbers that are not finite: the artefact is made and says where.
DIVERGED_EXIT = 3
# The number of ENOMEM: to be run again with more memory.
MEMORY_EXIT = 12
# What a shell reports of a process that SIGKILL or SIGTERM ended, so schedulers know it.
KILLED_EXIT = 128 + signal.SIGKILL
INTERRUPTED_EXIT = 128 + signal.SIGTERM

# Names the run of Snakemake that a job belongs to, in which a user's mistake is not tried again.
SNAKEMAKE_RUN = "PALIMPSEST_RUN"
LONGEST = 2000


class UserError(Exception):
    """A mistake in a config, a path or an input: one clear line (what, where, what is allowed), exit 2, no traceback."""

    exit = USER_ERROR_EXIT

    def __str__(self) -> str:
        """Return one line, whatever a config or a file had in it that the line repeats."""
        text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in super().__str__())
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


class BrokenArtefact(UserError):
    """An artefact whose files are not the ones its manifest names."""


class OutOfMemory(UserError):
    """Memory that the machine, a limit or the GPU did not give: one line, and an exit code of its own."""

    exit = MEMORY_EXIT


class Diverged(UserError):
    """Numbers that are not finite, in training or evaluation: a result, which the stage's artefact records.

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
        """What a manifest says of it."""
        return {"what": self.what, "step": self.step, "steps": self.steps}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the error that a manifest's record came from."""
        return cls(record["what"], record["step"], record["steps"])


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, with the second if the first ends in a colon; the class name if it is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
