"""Errors that end a stage with one line, and every exit code of a stage: docs/faults.md says what to do for each."""

import signal

# A mistake in a config, a broken artefact, a full disk, a hub that does not answer: to be mended, then run again.
USER_ERROR_EXIT = 2
# The number of ENOMEM: to be run again with more memory.
MEMORY_EXIT = 12
# What a shell reports of a process that SIGKILL or SIGTERM ended, so schedulers know it.
KILLED_EXIT = 128 + signal.SIGKILL
INTERRUPTED_EXIT = 128 + signal.SIGTERM

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


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, with the second if the first ends in a colon; the class name if it is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
