"""Fixtures that more than one kind of test needs."""

import os
from pathlib import Path

import pytest
from checkout import SECRETS, TINY, Checkout, clone, finish
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data: PALIMPSEST_SHARED, or `shared` beside the repository; without it the test is skipped."""
    folder = Path(os.environ.get("PALIMPSEST_SHARED", ROOT.parent / "shared"))
    if not (folder / "data" / "tofu_eval_logs" / "expected.json").is_file():
        pytest.skip(f"no real data in {folder}: set PALIMPSEST_SHARED to the folder that contains data/tofu_eval_logs")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh clone in which nothing has run."""
    return clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Checkout:
    """The tiny study with its report, run once for all tests of all workers; the tests work on copies."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    with FileLock(shared / "study.lock"):
        if not (shared / "study").exists():
            checkout = clone(shared / "unfinished")
            with pytest.MonkeyPatch.context() as environment:
                for name, value in SECRETS.items():
                    environment.setenv(name, value)
                ran = checkout.snakemake(*TINY)
            assert ran.returncode == 0, ran.stdout
            checkout.path.rename(shared / "study")
    return Checkout(shared / "study")


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The STUDY of a file of tests, run to its report once for all of its tests, which work on copies."""
    return finish(tmp_path_factory.mktemp("study") / "clone", *request.module.STUDY)


@pytest.fixture
def finished(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    """A copy of a finished study in another place: the STUDY of the file of tests, or the tiny study if it names none."""
    study: Checkout = request.getfixturevalue("ran" if hasattr(request.module, "STUDY") else "finished_once")
    return study.copy(tmp_path / "moved")
