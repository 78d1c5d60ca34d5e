"""Progress of long work: a bar in a terminal, occasional lines in a log."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from palimpsest import processes

Item = TypeVar("Item")
log = logging.getLogger("palimpsest")
SECONDS_BETWEEN_LINES = 15.0


def track(
    items: Iterable[Item], label: str, *, total: int, done: int = 0, tell: Callable[[], str] = lambda: ""
) -> Iterator[Item]:
    """Yield the items and report progress; an earlier run finished `done` of `total`.

    `tell` returns what else a report says, such as the loss. Only the main process reports.
    """
    if not processes.is_main():
        yield from items
        return
    bar = tqdm(items, desc=label, total=total, initial=done, disable=None, dynamic_ncols=True)
    said = time.monotonic()
    for count, item in enumerate(bar, start=done + 1):
        yield item
        now = time.monotonic()
        if not bar.disable:
            bar.set_postfix_str(tell(), refresh=False)
        elif now - said > SECONDS_BETWEEN_LINES or count == total:
            log.info("%s: %d of %d%s", label, count, total, f", {more}" if (more := tell()) else "")
            said = now
