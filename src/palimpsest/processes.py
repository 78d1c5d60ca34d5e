"""The processes of one job: their number, the rank of this one, and communication between them.

torchrun starts several processes; a process that it did not start is the only one, and needs no import of torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

Value = TypeVar("Value")
Part = TypeVar("Part")

PARALLEL = "PALIMPSEST_PARALLEL"
# A process may wait for another as long as the job may run: if one fails, torchrun ends all of them.
PATIENCE = timedelta(days=7)
# Parts that a process computes before the results are gathered; after every part, all would wait for the slowest process.
ROUND = 8
_store: Store | None = None


def count() -> int:
    """Return the number of processes of the job."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """Return the rank of this process, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def is_main() -> bool:
    """Return whether this is the main process, which writes files and messages."""
    return rank() == 0


def is_sharded() -> bool:
    """Return whether training shards the weights of a model over the processes (FSDP); otherwise each process has a copy."""
    return is_offloaded() or (count() > 1 and os.environ.get(PARALLEL) == "fsdp")


def is_offloaded() -> bool:
    """Return whether training keeps the shards in the memory of the host; also with one process."""
    return os.environ.get(PARALLEL) == "offload"


def connect() -> None:
    """Connect the processes of the job, each with its own GPU if there are GPUs."""
    global _store
    if _store is not None or (count() == 1 and not is_offloaded()):
        return
    import torch
    from torch import distributed
    from torch.distributed import HashStore, TCPStore  # type: ignore[attr-defined]

    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    if count() == 1:
        _store = HashStore()
    else:
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        _store = TCPStore(*address, is_master=False, timeout=PATIENCE)
    distributed.init_process_group(backend, store=_store, rank=rank(), world_size=count(), timeout=PATIENCE)


def disconnect() -> None:
    """Wait for all processes and disconnect."""
    if _store is not None:
        from torch import distributed

        barrier()
        distributed.destroy_process_group()


def leave(code: int) -> None:
    """End this process at once if it is one of several: what torch tears down as Python ends can abort a job that is done."""
    if count() > 1:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def is_first_to_fail() -> bool:
    """Return whether no other process has failed yet, so that only one reports its error; each process may ask once."""
    return _store is None or _store.add("failed", 1) == 1


def gather(value: Value) -> list[Value]:
    """Return the values of all processes, in order of rank, to every process."""
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
    """Wait until every process reaches this point."""
    gather(None)


def share(parts: Sequence[Part], work: Callable[[Part], Value]) -> Iterator[Value]:
    """Compute each part once, divided among the processes; yield all results in order to every process.

    Process r of n computes every n-th part from r on. The parts, and so the results, do not depend on the number of processes.
    """
    if count() == 1:
        yield from map(work, parts)
        return
    for start in range(0, len(parts), count() * ROUND):
        turn = parts[start : start + count() * ROUND]
        results = gather([work(part) for part in turn[rank() :: count()]])
        yield from (results[number % count()][number // count()] for number in range(len(turn)))
