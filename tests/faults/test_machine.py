"""What a machine refuses, and what else may meet a stage: one clear line, an exit code, and the same bytes afterwards."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_stages import TINY, TRAINING, artefacts, command, environment, finetune, one_line, run, seal, succeed

import forked
from palimpsest.errors import KILLED_EXIT, MEMORY_EXIT, OutOfMemory, UserError
from palimpsest.faults import GPU_MEMORY, MEMORY, explain
from palimpsest.provenance.manifest import verify_artefact
from palimpsest.storing import abandoned, list_entries
from palimpsest.study.rules import KILLED, shell_prefix
from poison import Poison

SPLIT = ("split", {"kind": "tofu", "split": "forget10", "settings": {}}, {"data": "data"})
REFERENCE = ("reference", {"model": {}, "random_share": 0.0, "seed": 0, "refusals": False}, {"model": "base", "split": "split"})
UNLEARN = (
    "unlearn",
    {"method": "npo", "seed": 0, "training": TRAINING, "loss": {"beta": 0.1}, "model": {}},
    {"model": "base", "split": "split", "reference": "reference"},
)
FINETUNE = finetune()[:3]
__all__ = ["artefacts"]


@pytest.fixture(scope="session")
def undisturbed(artefacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stages leave that faults are injected into, made without any."""
    root = Path(shutil.copytree(artefacts, tmp_path_factory.mktemp("undisturbed") / "root"))
    for out, args in (("again", SPLIT), ("reference", REFERENCE), ("original", FINETUNE)):
        succeed(root, *args, out)
    return root


@pytest.fixture
def root(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(undisturbed, tmp_path / "root"))


@pytest.fixture
def disk(root: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = root / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def manifest(folder: Path) -> bytes:
    return (folder / "manifest.json").read_bytes()


def fill(disk: Path, left: int) -> Path:
    """Leave so many bytes of a disk."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    return filler


# The disk.


@pytest.mark.parametrize(
    ("args", "made", "file"),
    [
        (SPLIT, "again", ".jsonl: "),
        (REFERENCE, "reference", "/.made.partial/references.parquet: "),
        (FINETUNE, "original", "/.made.partial/"),
    ],
    ids=["jsonl", "parquet", "safetensors"],
)
def test_a_full_disk(root: Path, disk: Path, args: Any, made: str, file: str) -> None:
    shutil.copytree(root / "split", disk / "older")
    filler = fill(disk, 1024)
    line = one_line(run(root, *args, "disk/made"))
    assert file in line and "no space is left on the disk" in line and "free some space" in line
    assert not (disk / "made").exists() and not (disk / ".made.partial").exists()
    verify_artefact(disk / "older" / "manifest.json")
    filler.unlink()
    succeed(root, *args, "disk/made")
    assert manifest(disk / "made") == manifest(root / made)


def test_a_disk_that_a_checkpoint_fills(root: Path, disk: Path) -> None:
    filler = fill(disk, 64 * 1024)
    often = environment(root, PALIMPSEST_CHECKPOINT_SECONDS="0", PALIMPSEST_SCRATCH=str(disk / "scratch"))
    line = one_line(forked.run(command(root, *FINETUNE, "made"), often))
    assert f"{disk}/scratch/" in line and "no space is left on the disk" in line
    filler.unlink()
    done = forked.run(command(root, *FINETUNE, "made"), environment(root, PALIMPSEST_SCRATCH=str(disk / "scratch")))
    assert done.returncode == 0, done.stdout
    assert manifest(root / "made") == manifest(root / "original")


def test_a_full_disk_of_the_store_costs_no_artefact(root: Path, disk: Path) -> None:
    filler = fill(disk, 8 * 1024)
    storing = environment(root, PALIMPSEST_STORE=str(disk / "store"))
    ran = forked.run(command(root, *SPLIT, "made"), storing)
    assert ran.returncode == 0 and f"{disk}/store: not stored: No space left on device" in ran.stdout
    assert manifest(root / "made") == manifest(root / "again")
    assert list_entries(disk / "store") == [] and abandoned(disk / "store", days=0) == []
    filler.unlink()
    ran = forked.run(command(root, *SPLIT, "once-more"), storing)
    assert ran.returncode == 0 and "not stored" not in ran.stdout
    assert len(list_entries(disk / "store")) == 1


def test_results_that_are_read_only(root: Path, disk: Path) -> None:
    shutil.copytree(root / "split", disk / "older")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    line = one_line(run(root, *SPLIT, "disk/made"))
    assert f"{disk}/.made.partial" in line and "read-only" in line
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    succeed(root, *SPLIT, "disk/made")
    assert manifest(disk / "made") == manifest(root / "again")
    verify_artefact(disk / "older" / "manifest.json")


def test_a_folder_that_may_not_be_changed(root: Path) -> None:
    """Root may write whatever the permissions say, but not what is immutable."""
    closed = root / "closed"
    closed.mkdir()
    if subprocess.run(["chattr", "+i", closed], capture_output=True).returncode:
        pytest.skip("no folder can be made immutable here (chattr +i)")
    try:
        line = one_line(run(root, *SPLIT, "closed/made"))
    finally:
        subprocess.run(["chattr", "-i", closed], check=True)
    assert f"{closed}/.made.partial: the operation is not permitted" in line
    succeed(root, *SPLIT, "closed/made")


def test_an_error_of_the_program_is_none_of_the_machine() -> None:
    assert explain(ValueError("no space left")) is None
    assert explain(FileNotFoundError(2, "No such file or directory", "x")) is None


def test_what_was_raised_behind_an_error_counts() -> None:
    error = RuntimeError("could not save")
    error.__cause__ = OSError(13, "Permission denied", "/some/file")
    told = explain(error)
    assert type(told) is UserError and str(told).startswith("/some/file: permission denied")


# Memory.


def test_too_little_memory_is_one_line_with_a_code_of_its_own(root: Path) -> None:
    large = {**TINY, "architecture": {"vocabulary": 400, "width": 4096, "layers": 2, "heads": 2}}
    log = root / "log"
    with log.open("w") as file:
        stage = forked.start(
            command(root, "base", {"model": large}, {"data": "data"}, "made"), environment(root), said=file.fileno()
        )
        status = Path(f"/proc/{stage.pid}/status").read_text()
        used = int(status.partition("VmSize:")[2].split()[0]) * 1024
        resource.prlimit(stage.pid, resource.RLIMIT_AS, (used + 2**28, used + 2**28))
        assert stage.wait() == MEMORY_EXIT == 12, log.read_text()
    assert log.read_text() == f"palimpsest base: {MEMORY.format(when='')}\n"
    assert not (root / "made").exists() and not (root / ".made.partial").exists()


def test_too_little_memory_of_a_gpu_is_known_by_the_name_of_its_error() -> None:
    error = type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 20.00 GiB.")
    told = explain(error)
    assert isinstance(told, OutOfMemory) and str(told) == GPU_MEMORY.format(when="")


def test_the_shell_says_what_a_killed_stage_cannot() -> None:
    prefix = shell_prefix({}, deployed=False)
    for number, said in ((9, f"{KILLED}\n"), (15, "")):
        done = subprocess.run(
            ["bash", "-c", f"{prefix} bash -c 'kill -{number} $$' 2> /dev/null"], capture_output=True, text=True
        )
        assert done.returncode == 128 + number
        assert "".join(line for line in done.stderr.splitlines(keepends=True) if "palimpsest" in line) == said
    assert KILLED_EXIT == 137


# Another process.


def test_of_two_stages_that_make_one_artefact_the_second_is_refused(root: Path) -> None:
    first = forked.start(command(root, *FINETUNE, "made"), environment(root))
    while not list((root / "scratch").glob("*")):
        assert first.poll() is None
        time.sleep(0.002)
    os.kill(first.pid, signal.SIGSTOP)
    line = one_line(run(root, *FINETUNE, "made"))
    assert f"{root}/.made.partial: another process is making this artefact" in line
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait() == 0
    assert manifest(root / "made") == manifest(root / "original")


# Files that are damaged, edited or elsewhere.


@pytest.mark.parametrize(
    "file", ["base/model.safetensors", "base/tokenizer.json", "split/forget.jsonl", "reference/references.parquet"]
)
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_file_of_any_kind_is_named_with_both_hashes(root: Path, file: str, damage: str) -> None:
    path = root / file
    content = bytearray(path.read_bytes())
    wanted = json.loads(manifest(path.parent))["files"][path.name]["sha256"]
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    line = one_line(run(root, *UNLEARN, "made"))
    assert line.startswith(f"palimpsest unlearn: {path}: sha256 is ") and wanted in line
    assert not (root / "made").exists()


def edited(root: Path, change: Any) -> str:
    """Edit the manifest of the split, and return what a stage that reads it says."""
    path = root / "split" / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return one_line(run(root, *FINETUNE, "made"))


def test_an_edited_manifest_is_noticed(root: Path) -> None:
    assert "forget.jsonl: sha256 is " in edited(root, lambda content: content["files"]["forget.jsonl"].update(sha256="0" * 64))
    assert "spec_sha256 is not the hash of its spec" in edited(root, lambda content: content["spec"].update(split="forget20"))
    assert "not a manifest" in edited(root, lambda content: content.update(files=[]))


def test_a_manifest_names_no_file_outside_its_folder(root: Path) -> None:
    (root / "secret").write_text("secret")
    for name in ("../secret", str(root / "secret")):
        line = edited(root, lambda content, name=name: content["files"].update({name: {"sha256": "0" * 64, "size": 6}}))
        assert "leads out of its artefact" in line


@pytest.mark.parametrize("planted", ["split", "split/forget.jsonl", "split/manifest.json"])
def test_an_input_that_was_replaced_by_a_link_is_not_taken(root: Path, planted: str) -> None:
    path, away = root / planted, root / "away"
    path.rename(away)
    path.symlink_to(away)
    line = one_line(run(root, *FINETUNE, "made"))
    assert str(path) in line and ("a link to" in line or "leads out of its artefact" in line)


def outside(root: Path) -> Path:
    """A folder outside the results, with a file that must stay."""
    folder = root / "outside"
    folder.mkdir()
    (folder / "precious").write_text("precious")
    return folder


@pytest.mark.parametrize("planted", ["made", ".made.partial", "scratch"])
def test_a_stage_writes_and_deletes_through_no_link(root: Path, planted: str) -> None:
    away = outside(root)
    path = root / planted
    if planted == "scratch":
        stage = forked.start(command(root, *FINETUNE, "made"), environment(root))
        while not (found := list((root / "scratch").glob("*"))):
            time.sleep(0.002)
        stage.kill()
        path = found[0]
        shutil.rmtree(path)
    path.symlink_to(away)
    line = one_line(run(root, *FINETUNE, "made"))
    assert f"{path}: a link to {away}" in line
    assert [file.name for file in away.iterdir()] == ["precious"]
    path.unlink()
    succeed(root, *FINETUNE, "made")
    assert manifest(root / "made") == manifest(root / "original")


def test_links_inside_an_older_artefact_are_removed_and_not_followed(root: Path) -> None:
    away = outside(root)
    for folder in ("made", ".made.partial"):
        (root / folder).mkdir()
        (root / folder / "planted").symlink_to(away)
    succeed(root, *SPLIT, "made")
    assert [file.name for file in away.iterdir()] == ["precious"]
    assert manifest(root / "made") == manifest(root / "again")


# Pickles.


def test_a_poisoned_checkpoint_is_refused_and_not_run(root: Path) -> None:
    import pickle

    proof = root / "proof"
    stage = forked.start(command(root, *finetune(epochs=30)[:3], "made"), environment(root, PALIMPSEST_CHECKPOINT_SECONDS="0"))
    while not (found := list((root / "scratch").glob("*/step-00000001*"))):
        assert stage.poll() is None
        time.sleep(0.002)
    stage.kill()
    newest = max((root / "scratch").glob("*/step-*"))
    content = newest / ".metadata"
    content.write_bytes(pickle.dumps(Poison(proof)))
    line = one_line(run(root, *finetune(epochs=30)[:3], "made"))
    assert f"{newest}: not a whole checkpoint" in line and "posix.mkdir" in line and "delete that folder" in line
    assert not proof.exists() and found
    pickle.loads(content.read_bytes())
    assert proof.exists(), "the poison works"


def test_a_model_in_pickles_alone_is_refused_and_not_run(root: Path) -> None:
    import torch

    proof, model = root / "proof", root / "model"
    model.mkdir()
    for path in (root / "base").iterdir():
        if path.suffix == ".json" and path.name not in ("manifest.json", "environment.json"):
            shutil.copy(path, model)
    torch.save({"weights": Poison(proof)}, model / "pytorch_model.bin")
    settings = {"kind": "pretrained", "name": str(model)}
    line = one_line(run(root, "base", {"model": settings}, {}, "made"))
    assert f"{str(model)!r} has no config.json and *.safetensors; convert it with save_pretrained" in line
    # Nor is one read that lies in an artefact already.
    (root / "base" / "model.safetensors").unlink()
    shutil.copy(model / "pytorch_model.bin", root / "base")
    seal(root / "base")
    done = run(root, *FINETUNE, "made")
    assert done.returncode == 2, done.stdout
    assert "safetensors" in one_line(done)
    assert not proof.exists()
    torch.load(model / "pytorch_model.bin", weights_only=False)
    assert proof.exists(), "the poison works"
