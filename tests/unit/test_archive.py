"""The archive of an artefact: the same bytes for the same files, and nothing but them."""

import tarfile
from pathlib import Path

import pytest

from palimpsest.contract.archive import ARCHIVE, at_hand, pack, unpack
from palimpsest.errors import BrokenArtefact
from palimpsest.provenance.manifest import build_manifest, verify_artefact, write_manifest


def artefact(folder: Path, **more: bytes) -> Path:
    """Make an artefact with two files, one of them in a folder, and more."""
    (folder / "tables").mkdir(parents=True)
    for name, content in {"model.safetensors": b"weights" * 9000, "tables/a.csv": b"a\n1\n", **more}.items():
        (folder / name).write_bytes(content)
    write_manifest(folder, build_manifest(folder, stage="split", spec={}, code="c", inputs={}))
    return folder


def test_what_is_packed_is_unpacked_with_the_same_bytes(tmp_path: Path) -> None:
    out = artefact(tmp_path / "out")
    pack(out, [out / "manifest.json", out / "tables"])
    # What the rule declares stays, and so is not fetched out of the archive.
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["a.csv", ARCHIVE, "manifest.json"]
    manifest = unpack(out / "manifest.json", tmp_path / "there")
    assert verify_artefact(manifest)["files"].keys() == {"model.safetensors", "tables/a.csv"}
    assert (tmp_path / "there/model.safetensors").read_bytes() == b"weights" * 9000


def test_the_bytes_of_an_archive_repeat(tmp_path: Path) -> None:
    for name in ("one", "other"):
        pack(artefact(tmp_path / name), [])
    assert (tmp_path / "one" / ARCHIVE).read_bytes() == (tmp_path / "other" / ARCHIVE).read_bytes()


def test_an_artefact_without_files_has_an_archive_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_manifest(out, build_manifest(out, stage="split", spec={}, code="c", inputs={}))
    pack(out, [])
    assert verify_artefact(unpack(out / "manifest.json", tmp_path / "there"))["files"] == {}


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """Return an empty member of an archive."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, "/etc/passwd"
    return made


@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "file-more", "file-less", "link", "of-another"])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: str) -> None:
    out = artefact(tmp_path / "out")
    pack(out, [])
    archive = out / ARCHIVE
    content = archive.read_bytes()
    archive.unlink()
    if damage in ("truncated", "empty"):
        archive.write_bytes(content[: len(content) // 2 if damage == "truncated" else 0])
    elif damage == "of-another":
        pack(artefact(tmp_path / "another", more=b"more"), [])
        (tmp_path / "another" / ARCHIVE).rename(archive)
    elif damage != "missing":
        with tarfile.open(archive, "w") as made:
            made.addfile(member("model.safetensors", tarfile.SYMTYPE if damage == "link" else tarfile.REGTYPE))
            if damage != "file-less":
                made.addfile(member("tables/a.csv"))
            if damage == "file-more":
                made.addfile(member("../outside"))
    with pytest.raises(BrokenArtefact, match=f"{archive}: not the files of {out}/manifest.json"):
        unpack(out / "manifest.json", tmp_path / "there")
    assert not (tmp_path / "outside").exists()


def test_inputs_are_at_hand_as_long_as_the_job_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, scratch = artefact(tmp_path / "storage/results/data"), tmp_path / "scratch"
    given = [("data", out / "manifest.json"), ("data:again", out / "manifest.json")]
    with at_hand(given, scratch) as found:
        assert found == given and not scratch.exists()
    pack(out, [])
    monkeypatch.setenv("PALIMPSEST_STORAGE", str(tmp_path / "storage"))
    with at_hand(given, scratch) as found:
        assert [label for label, _ in found] == ["data", "data:again"]
        for _, path in found:
            assert path.parent.as_posix().endswith("/results/data") and verify_artefact(path)
    assert list(scratch.iterdir()) == []
