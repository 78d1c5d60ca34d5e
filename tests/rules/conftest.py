"""Fixtures for tests of the DAG: a fresh clone, and one finished run that tests start from."""

from pathlib import Path

import pytest
from checkout import TINY, Checkout, clone


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh clone, nothing run."""
    return clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny study, run to its report: once for all tests, which work on copies."""
    checkout = clone(tmp_path_factory.mktemp("study") / "clone")
    ran = checkout.snakemake(*TINY)
    assert ran.returncode == 0, ran.stdout
    return checkout


@pytest.fixture
def finished(finished_once: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished study, in another place."""
    return finished_once.copy(tmp_path / "moved")
