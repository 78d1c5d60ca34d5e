"""A SIGTERM that waits for the end of a step: schedulers send it some time before they take a job's machine away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Slurm signals every process of a job, and torchrun passes the signal on: within these seconds it is one and the same.
ECHO_SECONDS = 5.0

_requested: float | None = None


class Interrupted(Exception):
    """A stage stopped because of a SIGTERM; a rerun continues."""


@contextmanager
def postponed() -> Iterator[None]:
    """Only remember a SIGTERM within this block; a second one, seconds later, ends the process at once."""
    global _requested
    _requested = None
    before = signal.signal(signal.SIGTERM, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def requested() -> bool:
    """Return whether a SIGTERM came within `postponed`."""
    return _requested is not None


def _remember(number: int, frame: FrameType | None) -> None:
    global _requested
    if _requested is None:
        _requested = time.monotonic()
    elif time.monotonic() - _requested > ECHO_SECONDS:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
