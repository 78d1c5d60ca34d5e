"""A study on a storage of Snakemake: what is declared is whole, so jobs need no shared file system."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from checkout import TINY, Checkout, clone
from moto.server import ThreadedMotoServer

from palimpsest.contract.archive import unpack
from palimpsest.provenance.manifest import verify_artefact

BEHIND = {"scores": 1, "summarise": 1, "page": 1, "publish": 1, "all": 1}
SMALL = """
grids: {}
selections: {}
attacks: {}
blocks:
  - {benchmark: tofu, splits: [forget10], models: [tiny], seeds: [0], methods: [ga], suites: [tofu]}
"""
CHANGED = SMALL + 'methods: {"tofu/*/tiny/ga": {forget_weight: 0.5}}\n'
RUN = "tofu/tiny/forget10/seed0"
# What the tiny study makes too, in the same way.
SHARED = ["tofu/data", "tofu/splits/forget10", "tofu/tiny/base", f"{RUN}/original/model", f"{RUN}/unlearn/ga/default/model"]


def on(place: str, provider: str = "fs") -> tuple[str, ...]:
    """Return the arguments that put a study on a storage alone."""
    return ("--default-storage-provider", provider, "--default-storage-prefix", place, "--shared-fs-usage", "none")


def paths(folder: Path, name: str) -> set[str]:
    """Return the folders below another one that have a file of this name."""
    return {path.parent.relative_to(folder).as_posix() for path in folder.rglob(name)}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which a small study ran on the storage beside it."""
    if shutil.which("rsync") is None:
        pytest.skip("the storage plugin fs needs rsync")
    checkout = clone(tmp_path_factory.mktemp("stored") / "clone")
    ran = checkout.snakemake(*checkout.overlay(SMALL), *on("../storage"))
    assert ran.returncode == 0, ran.stdout
    assert "palimpsest: the report is ../storage/results/report.html" in ran.stdout
    return checkout


def test_the_storage_has_the_study_and_the_machine_has_nothing(stored: Checkout, finished_once: Checkout, tmp_path: Path) -> None:
    storage, shared = stored.path.parent / "storage" / "results", finished_once.path / "results"
    assert "<table" in (storage / "report.html").read_text() and (storage / "cost.csv").is_file()
    # Every artefact is whole.
    assert paths(storage, "manifest.json") == paths(storage, "files.tar") == paths(storage, "environment.json") > set(SHARED)
    for path in paths(storage, "manifest.json"):
        verify_artefact(unpack(storage / path / "manifest.json", tmp_path / path))
    # With the bytes that it has on a shared file system.
    for path in SHARED:
        assert (storage / path / "manifest.json").read_bytes() == (shared / path / "manifest.json").read_bytes()
    # Of the working copies only the logs are left.
    left = [path for path in (stored.path / ".snakemake" / "storage").rglob("*") if path.is_file() and path.suffix != ".log"]
    assert left == [] and not any(path.is_file() for path in stored.path.glob("results/**/*"))
    costs = pd.read_csv(storage / "cost.csv")
    assert len(costs) and (costs["jobs"] == costs["measured"]).all()


def test_without_its_local_copies_a_study_has_nothing_to_do(stored: Checkout) -> None:
    shutil.rmtree(stored.path / ".snakemake" / "storage", ignore_errors=True)
    assert stored.jobs(*stored.overlay(SMALL), *on("../storage")) == {}


def test_a_changed_setting_reruns_what_depends_on_it(stored: Checkout) -> None:
    assert stored.jobs(*stored.overlay(CHANGED), *on("../storage")) == {"unlearn": 1, "evaluate": 1, **BEHIND}


def test_a_storage_that_is_stale_is_not_taken_for_finished_by_a_machine_without_records(stored: Checkout, tmp_path: Path) -> None:
    other = clone(tmp_path / "clone")
    storage = on(str(stored.path.parent / "storage"))
    assert other.jobs(*other.overlay(SMALL), *storage) == {}
    refused = other.snakemake("--dry-run", *other.overlay(CHANGED), *storage)
    assert refused.returncode == 2 and "5 of 12 artefacts without records of Snakemake here are stale" in refused.stdout
    forced = other.jobs("--forcerun", "unlearn", *other.overlay(CHANGED), *storage)
    assert forced == {"unlearn": 1, "evaluate": 1, **BEHIND}


def test_the_cache_of_snakemake_is_refused(checkout: Checkout) -> None:
    refused = checkout.snakemake("--dry-run", "--cache", "finetune", *TINY)
    assert refused.returncode == 2 and refused.stdout.splitlines()[-1].startswith("palimpsest: --cache: keeps no artefact")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY": "any", "SECRET_KEY": "any"}.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    yield "s3://bucket/study"
    server.stop()


@pytest.mark.slow
def test_a_study_runs_on_a_bucket(checkout: Checkout, bucket: str) -> None:
    ran = checkout.snakemake(*checkout.overlay(SMALL), *on(bucket, "s3"))
    assert ran.returncode == 0, ran.stdout
    assert f"palimpsest: the report is {bucket}/results/report.html" in ran.stdout
    shutil.rmtree(checkout.path / ".snakemake" / "storage")
    assert checkout.jobs(*checkout.overlay(SMALL), *on(bucket, "s3")) == {}
    # What is made again reads from the bucket what is not.
    ran = checkout.snakemake(*checkout.overlay(CHANGED), *on(bucket, "s3"))
    assert ran.returncode == 0 and " of 7  Unlearning with ga default" in ran.stdout
    assert checkout.jobs(*checkout.overlay(CHANGED), *on(bucket, "s3")) == {}


@pytest.mark.slow
def test_a_report_on_a_storage_has_its_gaps(stored: Checkout, tmp_path: Path) -> None:
    """A job whose input is damaged in the storage fails, and so leaves a gap."""
    shutil.copytree(stored.path.parent, tmp_path / "copy")
    copy = Checkout(tmp_path / "copy" / "clone")
    storage = tmp_path / "copy" / "storage" / "results"
    (storage / RUN / "original/model/files.tar").write_bytes(b"")
    ran = copy.snakemake(*copy.overlay(CHANGED), *on("../storage"))
    assert ran.returncode == 1
    assert "2 artefacts could not be made; the report is made with these gaps" in ran.stdout
    assert f"\n  results/{RUN}/unlearn/ga/default/model/manifest.json: failed: " in ran.stdout
    assert "original/model/files.tar: not the files of" in (storage / "report.html").read_text()
