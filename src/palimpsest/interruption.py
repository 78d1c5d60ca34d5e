"""Delay a SIGTERM until the end of a training step, or stop a measurement at once: schedulers kill a job some time after it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Slurm signals every process of a job, and torchrun forwards the signal; within these seconds it counts as the same signal.
ECHO_SECONDS = 5.0

_requested: float | None = None


class Interrupted(Exception):
    """A stage stopped after a SIGTERM; a rerun continues it."""


@contextmanager
def postponed() -> Iterator[None]:
    """Only record a SIGTERM within this block; a second one, seconds later, ends the process at once."""
    global _requested
    _requested = None
    before = signal.signal(signal.SIGTERM, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def at_once() -> Iterator[None]:
    """Raise Interrupted when a SIGTERM arrives within this block in `postponed`, or if one has arrived."""

    def stop(number: int, frame: FrameType | None) -> None:
        _remember(number, frame)
        raise Interrupted("stopped by SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        if requested():
            raise Interrupted("stopped by SIGTERM")
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def requested() -> bool:
    """Return whether a SIGTERM arrived within `postponed`."""
    return _requested is not None


def _remember(number: int, frame: FrameType | None) -> None:
    global _requested
    if _requested is None:
        _requested = time.monotonic()
    elif time.monotonic() - _requested > ECHO_SECONDS:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
