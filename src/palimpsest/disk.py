"""The disk that a study needs at its peak, by a simulation of its run with given GPUs."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Step:
    """A job of a study: what it waits for, how long it takes, and the bytes that it leaves and writes meanwhile."""

    path: str
    inputs: Collection[str] = ()
    """The folders of its inputs."""
    reads: Collection[str] = ()
    """Those of its inputs whose weights it reads."""
    weights: float = 0.0
    """Bytes of the weights that it leaves."""
    scratch: float = 0.0
    """Bytes of its checkpoints, which go when it ends."""
    gpus: int = 0
    hours: float = 0.0
    priority: int = 0


class Disk(NamedTuple):
    """Bytes of weights and checkpoints at the peak of a run, and of weights at its end."""

    peak: float
    end: float


def simulate(steps: Sequence[Step], gpus: int, gone: Collection[str]) -> Disk:
    """Return the disk that a run takes; the weights in `gone` go with their last reader.

    `steps` are in the order of the pipeline. Of the jobs that could start, the one with the highest priority does; a job that
    asks for more GPUs than there are gets all.
    """
    waiting = {step.path: set(step.inputs) for step in steps}
    readers = {path: {step.path for step in steps if path in step.reads} for path in gone}
    order = {step.path: number for number, step in enumerate(steps)}
    by_input: dict[str, list[Step]] = {}
    for step in steps:
        for path in step.inputs:
            by_input.setdefault(path, []).append(step)
    held = {step.path: step.weights for step in steps}
    ready = [step for step in steps if not waiting[step.path]]
    running: list[tuple[float, int, Step]] = []
    now, free, used, most = 0.0, gpus, 0.0, 0.0
    while ready or running:
        for step in sorted(ready, key=lambda step: (-step.priority, order[step.path])):
            if min(step.gpus, gpus) <= free:
                free -= min(step.gpus, gpus)
                used += step.weights + step.scratch
                ready.remove(step)
                heapq.heappush(running, (now + step.hours, order[step.path], step))
        most = max(most, used)
        now, _, ended = heapq.heappop(running)
        free += min(ended.gpus, gpus)
        used -= ended.scratch
        for path in ended.reads:
            if left := readers.get(path):
                left.remove(ended.path)
                used -= 0 if left else held[path]
        for step in by_input.get(ended.path, []):
            waiting[step.path].discard(ended.path)
            if not waiting[step.path]:
                ready.append(step)
    # Rounding may leave less than nothing.
    return Disk(most, max(used, 0.0))
