"""The command `palimpsest store`."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from palimpsest import storing
from palimpsest.cli import main
from palimpsest.contract.store import entry_of, keep
from palimpsest.provenance.manifest import build_manifest, key_of, write_manifest
from palimpsest.storing import list_entries, pull, push, told_unshared, unused_entries

SPECS = {key_of("split", spec, "c", {"data": "d"}): spec for spec in ({"split": "one"}, {"split": "other"})}
ONE, OTHER = sorted(SPECS)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results with two artefacts in their store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PALIMPSEST_STORE", "results/.store")
    for key, spec in SPECS.items():
        folder = tmp_path / "results" / key
        (folder / "tables").mkdir(parents=True)
        (folder / "model.bin").write_bytes(key.encode() * 100)
        (folder / "tables/a.csv").write_text("a\n1\n")
        write_manifest(folder, build_manifest(folder, stage="split", spec=spec, code="c", inputs={"data": "d"}))
        keep(tmp_path / "results/.store", key, folder)
    return tmp_path / "results"


@pytest.fixture
def store(results: Path) -> Path:
    return results / ".store"


def test_an_entry_that_results_share_is_kept(results: Path, store: Path) -> None:
    assert [entry.is_linked for entry in list_entries(store)] == [True, True]
    assert unused_entries(store, 0) == []
    shutil.rmtree(results / ONE)
    assert [entry.key for entry in unused_entries(store, 0)] == [ONE]
    assert unused_entries(store, 30) == []


def test_gc_says_first_and_removes_then(results: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(results / ONE)
    os.utime(entry_of(store, ONE), (0, 0))
    assert main(["store", "gc", "--dry-run"]) == 0
    assert "would remove 1 entries, 0.0 MB" in capsys.readouterr().out and len(list_entries(store)) == 2
    assert main(["store", "gc"]) == 0
    assert [entry.key for entry in list_entries(store)] == [OTHER]


def test_list_says_how_much(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "list"]) == 0
    assert capsys.readouterr().out == "results/.store: 2 entries, 0.0 MB; no results here share 0 entries, 0.0 MB\n"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an S3 server of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("url", ["{folder}/far", "memory://far-{name}", "s3://bucket/{name}"])
def test_what_is_pushed_can_be_pulled(
    store: Path, tmp_path: Path, url: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url.format(folder=tmp_path, name=tmp_path.name)
    for name, value in {
        "ENDPOINT_URL": bucket,
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert sorted(push(store, url)) == [ONE, OTHER]
    assert list(push(store, url)) == []
    other = tmp_path / "other"
    assert list(pull(other, url)) == [ONE, OTHER]
    for key in (ONE, OTHER):
        for name in ("manifest.json", "model.bin", "tables/a.csv"):
            assert (entry_of(other, key) / name).read_bytes() == (entry_of(store, key) / name).read_bytes()
    assert list(pull(other, url)) == []


def test_a_damaged_entry_is_not_pulled(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list(push(store, str(tmp_path / "far")))
    (entry_of(tmp_path / "far", ONE) / "model.bin").write_text("x")
    shutil.rmtree(entry_of(store, ONE))
    assert main(["store", "pull", str(tmp_path / "far")]) == 2
    assert f"the entry {ONE[:12]} is damaged" in capsys.readouterr().err
    assert not entry_of(store, ONE).exists() and [path.name for path in entry_of(store, ONE).parent.iterdir()] == []


@pytest.mark.parametrize(
    ("variable", "arguments", "said"),
    [
        ("no", ["list"], "PALIMPSEST_STORE=no: there is no store"),
        ("results/.store", ["push", "nosuch://place"], "nosuch://place: Protocol not known: nosuch"),
        # No package for it is installed.
        ("results/.store", ["pull", "gs://bucket/store"], "gs://bucket/store: Please install gcsfs to access Google Storage"),
        ("results/.store", ["gc", "--days", "-1"], "must be a whole number, at least 0"),
    ],
)
def test_a_mistake_is_one_line(
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.setenv("PALIMPSEST_STORE", variable)
    try:
        code = main(["store", *arguments])
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_entries_are_what_manifests_say(store: Path) -> None:
    entry = entry_of(store, ONE)
    assert json.loads((entry / "manifest.json").read_text())["files"].keys() == {"model.bin", "tables/a.csv"}


def test_what_a_killed_process_left_is_no_entry_and_goes_after_a_day(store: Path) -> None:
    left = entry_of(store, ONE).with_name(".unfinished")
    shutil.copytree(entry_of(store, ONE), left)
    assert [entry.key for entry in list_entries(store)] == [ONE, OTHER]
    assert main(["store", "gc"]) == 0 and left.exists()
    os.utime(left, (0, 0))
    assert main(["store", "gc"]) == 0 and not left.exists()
    assert [entry.key for entry in list_entries(store)] == [ONE, OTHER]


def test_a_run_says_what_no_results_share_if_it_is_much(results: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(results / ONE)
    assert told_unshared("results") is None
    monkeypatch.setattr(storing, "MUCH", 1000)
    said = told_unshared("results")
    assert said == "results/.store: no results share 0.0 GB; `palimpsest store gc` removes what is unused"
    assert main(["store", "gc", "--days", "0"]) == 0 and told_unshared("results") is None
    monkeypatch.setenv("PALIMPSEST_STORE", "no")
    assert told_unshared("results") is None
