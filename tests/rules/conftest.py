"""Fixtures for tests of the DAG: a fresh clone, and one finished run that tests start from."""

from pathlib import Path

import pytest
from checkout import TINY, Checkout, clone
from filelock import FileLock


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh clone, nothing run."""
    return clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Checkout:
    """The tiny study, run to its report as by a user: once for all tests of all workers, which work on copies."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    with FileLock(shared / "study.lock"):
        if not (shared / "study").exists():
            checkout = clone(shared / "unfinished")
            ran = checkout.snakemake(*TINY, alone=True)
            assert ran.returncode == 0, ran.stdout
            checkout.path.rename(shared / "study")
    return Checkout(shared / "study")


@pytest.fixture
def finished(finished_once: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished study, in another place."""
    return finished_once.copy(tmp_path / "moved")
