"""Tasks of lm-eval that read data sets of the Hub: here they read downloaded folders with the data sets instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from palimpsest.errors import UserError
from palimpsest.evaluation.lm_eval.suite_settings import FORMATS

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager


@contextmanager
def downloaded(folders: Mapping[str, Path], cache: Path) -> Iterator[None]:
    """Let tasks that are made within this block read data sets in their folders, by name; `cache` is the cache for them.

    lm-eval has no setting for it. Raises UserError when a task reads another data set.
    """
    from lm_eval.api import task

    load = task.datasets.load_dataset

    def read(path: str, *args: Any, **options: Any) -> Any:
        if path in folders:
            return load(str(folders[path]), *args, **options, cache_dir=str(cache))
        if path in FORMATS or Path(path).exists():
            return load(path, *args, **options)
        raise UserError(f"suites: lm-eval: datasets: a task reads {path}, which is not listed; name it with its commit")

    with patch.object(task.datasets, "load_dataset", read):
        yield


def task_manager(stock: Collection[str]) -> TaskManager:
    """Return lm-eval's index of tasks; raises UserError if it has no task of these names."""
    from lm_eval.tasks import TaskManager

    # Reading the index of all stock tasks takes 10-20 s, so it is read only for suites with stock tasks.
    manager = TaskManager(include_defaults=bool(stock))
    if unknown := [name for name in stock if name not in manager.all_tasks]:
        raise UserError(f"suites: lm-eval has no task {unknown[0]!r}; `lm-eval ls tasks` lists them")
    return manager
