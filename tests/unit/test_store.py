"""The store: what was made once is linked, not made again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from palimpsest.contract import store
from palimpsest.provenance.digest import stage_code
from palimpsest.provenance.manifest import read_manifest
from palimpsest.storing import list_entries

ROOT = Path(__file__).resolve().parents[2]
WORLD = {"kind": "world", "authors": 20, "questions_per_author": 3, "base_authors": 4, "real_authors": 6, "world_facts": 6}
TAKEN = "taken from the store"


def run(folder: Path, stage: str, spec: object, out: str, *inputs: str, kept: str = "store") -> str:
    """Run a stage as a rule does, and return what it said."""
    modules = ["palimpsest.benchmarks.tofu.splits"] if stage == "split" else []
    command = [sys.executable, "-m", "palimpsest.launch", f"palimpsest.stages.{stage}", "--spec", json.dumps(spec)]
    command += ["--code", stage_code(stage, *modules), *(word for given in inputs for word in ("--in", given))]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PALIMPSEST_STORE": kept, "PALIMPSEST_WARM": "no"}
    ran = subprocess.run(
        [*command, "--out", f"{out}/manifest.json"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def split(folder: Path, out: str, data: str = "data", retain: int = 9, **more: str) -> str:
    spec = {"kind": "tofu", "split": "forget10", "settings": {"retain_authors": retain}}
    return run(folder, "split", spec, out, f"data={data}/manifest.json", **more)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a split of it, which was stored."""
    folder = tmp_path_factory.mktemp("store")
    run(folder, "data", {"source": WORLD}, "data")
    assert TAKEN not in split(folder, "split")
    return folder


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "copy"))


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "store").glob("??/*"))


def same(one: Path, other: Path) -> bool:
    """Return whether two folders have the same files, apart from the times in environment.json."""
    names = [sorted(path.name for path in each.iterdir() if path.name != "environment.json") for each in (one, other)]
    return names[0] == names[1] and all((one / name).read_bytes() == (other / name).read_bytes() for name in names[0])


def test_what_was_made_once_is_linked_at_another_place(folder: Path) -> None:
    assert TAKEN in split(folder, "elsewhere/split")
    assert same(folder / "split", folder / "elsewhere/split")
    (entry,) = entries(folder)
    assert (entry / "forget.jsonl").samefile(folder / "elsewhere/split/forget.jsonl")
    # Times of the records are the place's own.
    assert not (entry / "manifest.json").samefile(folder / "elsewhere/split/manifest.json")


def test_sources_are_read_again(folder: Path) -> None:
    """A key says nothing about the files of a local folder."""
    assert len(entries(folder)) == 1
    assert TAKEN not in run(folder, "data", {"source": WORLD}, "again")


def test_other_settings_are_another_artefact(folder: Path) -> None:
    assert TAKEN not in split(folder, "other", retain=8)
    assert len(entries(folder)) == 2


def test_equal_content_made_in_another_way_is_the_same_input(folder: Path) -> None:
    """At another place, by other code, with other settings."""
    shutil.move(folder / "data", folder / "moved")
    path = folder / "moved/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "0" * 64}))
    assert TAKEN in split(folder, "elsewhere/split", data="moved")
    assert same(folder / "split", folder / "elsewhere/split")


def test_a_remark_on_an_input_is_content(folder: Path) -> None:
    path = folder / "data/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"remarks": [{"kind": "fact", "text": "few authors"}]}))
    assert TAKEN not in split(folder, "other")


@pytest.mark.parametrize("name", ["forget.jsonl", "manifest.json"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_a_damaged_entry_is_made_again(folder: Path, name: str, damage: str) -> None:
    (entry,) = entries(folder)
    content = bytearray((entry / name).read_bytes())
    content[len(content) // 2] ^= 1
    # The results share the file, and keep it whole.
    (entry / name).unlink()
    if damage != "missing":
        (entry / name).write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    said = split(folder, "elsewhere/split")
    assert "removed from the store, and made again" in said and TAKEN not in said
    assert same(folder / "split", folder / "elsewhere/split") and same(folder / "split", entry)


def test_an_entry_under_the_key_of_another_is_not_taken(folder: Path) -> None:
    (entry,) = entries(folder)
    split(folder, "other", retain=8)
    (other,) = set(entries(folder)) - {entry}
    shutil.rmtree(other)
    shutil.copytree(entry, other)
    assert "the manifest of another artefact; removed from the store" in split(folder, "again", retain=8)
    assert same(folder / "other", folder / "again")


def test_without_a_store_everything_is_made(folder: Path) -> None:
    assert TAKEN not in split(folder, "other", kept="no")


def test_a_store_on_another_file_system_copies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    store.keep(folder / "far", "a" * 64, folder / "split")
    entry = store.entry_of(folder / "far", "a" * 64)
    assert same(entry, folder / "split") and not (entry / "forget.jsonl").samefile(folder / "split/forget.jsonl")


def test_a_store_that_cannot_be_written_loses_no_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").write_text("")
    store.keep(folder / "file", "a" * 64, folder / "split")
    assert "not stored" in capsys.readouterr().err


def test_two_runs_at_once_make_the_same_artefact(folder: Path) -> None:
    shutil.rmtree(folder / "store")
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda out: split(folder, out), ["one", "other"]))
    assert same(folder / "one", folder / "other")
    (entry,) = entries(folder)
    assert same(entry, folder / "one") and "not stored" not in "".join(said)


def in_a_process(work: Callable[[], None]) -> int | None:
    """Return the exit code of a fork that does some work."""
    process = get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def test_a_process_that_is_killed_while_it_stores_leaves_no_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = entries(folder)
    key, kept = entry.name, folder / "far"

    def keep_and_die(files: int) -> None:
        """Keep an artefact, and be killed after so many files."""
        link = store._link_or_copy

        def die(source: Path, target: Path) -> None:
            if len(list(target.parent.iterdir())) == files:
                os.kill(os.getpid(), signal.SIGKILL)
            link(source, target)

        monkeypatch.setattr(store, "_link_or_copy", die)
        store.keep(kept, key, folder / "split")

    files = len(list((folder / "split").iterdir()))
    for number in range(files):
        assert in_a_process(partial(keep_and_die, number)) == -signal.SIGKILL
    assert list_entries(kept) == [] and len(list(kept.glob("??/.*"))) == files
    store.keep(kept, key, folder / "split")
    assert [each.key for each in list_entries(kept)] == [key]
    assert store.verify_entry(store.entry_of(kept, key))["stage"] == "split"


def test_an_entry_that_is_removed_while_it_is_taken_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = entries(folder)
    manifest = read_manifest(entry / "manifest.json")
    spec, code = json.dumps(manifest["spec"]), manifest["code"]
    arguments = ["--spec", spec, "--code", code, "--in", "data=data/manifest.json", "--out", "taken/manifest.json"]

    def verify_and_lose(found: Path) -> dict[str, Any]:
        (found / "forget.jsonl").unlink()
        return manifest

    monkeypatch.chdir(folder)
    monkeypatch.setenv("PALIMPSEST_STORE", "store")
    monkeypatch.setattr(store, "verify_entry", verify_and_lose)
    assert store.take("split", arguments) is None
    assert not (folder / "taken").exists()


def test_unfinished_work_of_several_places_never_meets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal settings, code and inputs, in two results of a folder and in two folders; a study that moves keeps its work."""
    found = []
    for study in ("one", "two"):
        (tmp_path / study).mkdir()
        monkeypatch.chdir(tmp_path / study)
        for results in ("results-a", "results-b"):
            found.append(store.scratch_of(Path("/fast/disk"), "key", Path(results, "data")))
    assert len(set(found)) == 4 and {path.parent for path in found} == {Path("/fast/disk")}
    own = []
    for study in ("one", "two"):
        monkeypatch.chdir(tmp_path / study)
        own.append(store.scratch_of(Path("results/.scratch"), "key", Path("results/data")))
    assert own[0] == own[1]
