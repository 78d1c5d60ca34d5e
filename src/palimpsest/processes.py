"""The processes of one job: which one this is, of how many, and how they hear of each other.

torchrun starts several; a process that it did not start is the only one, and for that nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

Value = TypeVar("Value")
Part = TypeVar("Part")

PARALLEL = "PALIMPSEST_PARALLEL"
# A process may wait for another as long as its job may run: where one fails, torchrun ends all.
PATIENCE = timedelta(days=7)
# Parts that a process does before all hear of the results: to hear of each at once would let all wait for the slowest.
ROUND = 8
_store: Store | None = None


def count() -> int:
    """Return how many processes the job has."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Return which process of the job this is, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def is_main() -> bool:
    """Return whether this is the process that writes and speaks."""
    return rank() == 0


def is_sharded() -> bool:
    """Return whether the processes share the weights of a model in training (FSDP), of which each otherwise has a copy."""
    return count() > 1 and os.environ.get(PARALLEL) == "fsdp"


def connect() -> None:
    """Connect the processes of the job, each with a GPU of its own where there are any."""
    global _store
    if count() == 1 or _store is not None:
        return
    import torch
    from torch import distributed
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    _store = TCPStore(*address, is_master=False, timeout=PATIENCE)
    distributed.init_process_group(backend, store=_store, rank=rank(), world_size=count(), timeout=PATIENCE)


def disconnect() -> None:
    """Wait for all processes, and part."""
    if count() > 1:
        from torch import distributed

        barrier()
        distributed.destroy_process_group()


def is_first_to_fail() -> bool:
    """Return whether no other process has failed yet, so that one alone says why; each asks once."""
    return _store is None or _store.add("failed", 1) == 1


def gather(value: Value) -> list[Value]:
    """Return the value of every process, in their order, to every process."""
    if count() == 1:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * count()
    distributed.all_gather_object(values, value)
    return values


def main_value(value: Value) -> Value:
    """Return the main process's value to every process."""
    if count() == 1:
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def barrier() -> None:
    """Wait until every process has come this far."""
    gather(None)


def share(parts: Sequence[Part], work: Callable[[Part], Value]) -> Iterator[Value]:
    """Do each part once, process r of n every n-th from r on; yield the results of all in order, to every process.

    What a part is does not depend on the number of processes, so neither does its result.
    """
    if count() == 1:
        yield from map(work, parts)
        return
    for start in range(0, len(parts), count() * ROUND):
        turn = parts[start : start + count() * ROUND]
        results = gather([work(part) for part in turn[rank() :: count()]])
        yield from (results[number % count()][number // count()] for number in range(len(turn)))
