"""The manifest of an artefact: its spec, its code, and the hashes of its files and inputs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from palimpsest.errors import BrokenArtefact
from palimpsest.provenance.canonical import canonical_json, sha256_files, sha256_text

# Kinds of remarks: a model's weights equal its start model's, and any other fact.
UNMOVED, FACT = "unmoved", "fact"
MANIFEST = "manifest.json"
# Beside the manifest of an artefact whose weights were pruned: a copy of it.
PRUNED = "pruned.json"
ENVIRONMENT = "environment.json"
# The suffix of files with weights.
WEIGHTS = ".safetensors"


class Remark(NamedTuple):
    """A fact that a reader of an artefact's numbers must know."""

    kind: str
    text: str


def build_manifest(
    directory: Path,
    *,
    stage: str,
    spec: Any,
    code: str,
    inputs: dict[str, str],
    diverged: dict[str, Any] | None = None,
    remarks: Sequence[Remark] = (),
) -> dict[str, Any]:
    """Return the manifest of all files under a directory; `inputs` maps names to the content of the inputs (`content_of`).

    A reader of the numbers must know `diverged` and `remarks`; without them the manifest has no such keys.
    """
    found = {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*")) if path.is_file()}
    files = {name: path for name, path in found.items() if name not in (MANIFEST, ENVIRONMENT)}
    hashes = sha256_files(list(files.values()))
    return {
        "stage": stage,
        "spec": spec,
        "spec_sha256": sha256_text(canonical_json(spec)),
        "code": code,
        "inputs": inputs,
        "files": {
            name: {"sha256": sha256, "size": path.stat().st_size}
            for (name, path), sha256 in zip(files.items(), hashes, strict=True)
        },
        **({"diverged": diverged} if diverged else {}),
        **({"remarks": [remark._asdict() for remark in remarks]} if remarks else {}),
    }


def content_of(manifest: Mapping[str, Any]) -> str:
    """Return the hash of what readers of an artefact see: its files, its divergence and its remarks, however it was made."""
    files = {name: wanted["sha256"] for name, wanted in manifest["files"].items()}
    told = {name: manifest[name] for name in ("diverged", "remarks") if name in manifest}
    return sha256_text(canonical_json({"files": files, **told}))


def key_of(stage: str, spec: Any, code: str, inputs: Mapping[str, str]) -> str:
    """Return the key of an artefact: equal for equal stages, specs and code that read the same content."""
    return sha256_text(canonical_json([stage, spec, code, dict(inputs)]))


def key_in(manifest: Mapping[str, Any]) -> str:
    """Return the key of the artefact that a manifest describes."""
    return key_of(manifest["stage"], manifest["spec"], manifest["code"], manifest["inputs"])


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json`: readable, and with the same bytes for equal values."""
    text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    (directory / MANIFEST).write_text(text, encoding="utf-8")


def read_remarks(manifest: Mapping[str, Any]) -> list[Remark]:
    """Return the remarks in a manifest."""
    return [Remark(**remark) for remark in manifest.get("remarks", [])]


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest; raises BrokenArtefact if it is missing, is not a manifest, or its spec was edited."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for wanted in manifest["files"].values():
            wanted["sha256"], wanted["size"]
        manifest["stage"], manifest["code"], manifest["inputs"].items()
        whole = sha256_text(canonical_json(manifest["spec"])) == manifest["spec_sha256"]
    except (FileNotFoundError, NotADirectoryError):
        raise BrokenArtefact(f"{path}: there is no manifest; rerun the stage that makes it") from None
    except (IsADirectoryError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BrokenArtefact(f"{path}: not a manifest; delete it and rerun the stage that makes it") from None
    if not whole:
        raise BrokenArtefact(f"{path}: edited: spec_sha256 is not the hash of its spec; delete it and rerun its stage")
    return dict(manifest)


def weight_files(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the files with weights in a manifest."""
    return [name for name in manifest["files"] if Path(name).suffix == WEIGHTS]


def is_pruned(folder: Path) -> bool:
    """Return whether the weights of an artefact were pruned, which its record says, whatever is left of them."""
    try:
        # A record without a manifest says that the weights stay.
        return "files" in json.loads((folder / PRUNED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def read_environment(path: Path) -> dict[str, Any] | None:
    """Return the environment of an artefact's job; None if it is not recorded. Raises BrokenArtefact if the file is another."""
    try:
        environment = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        environment = None
    if not isinstance(environment, dict):
        raise BrokenArtefact(f"{path}: not the environment of a job; delete the artefact and rerun its stage")
    return environment


def verify_artefact(manifest_path: Path, *, weights: bool = True) -> dict[str, Any]:
    """Return the manifest of an artefact after checking its files; raises BrokenArtefact that names file and hashes.

    Without `weights`, weight files are not read, because hashing the weights of a large model takes minutes.
    """
    folder = manifest_path.parent
    for place in (folder, manifest_path):
        if place.is_symlink():
            raise BrokenArtefact(f"{place}: a link to {place.readlink()}; an artefact must not be a link: delete it and rerun")
    manifest = read_manifest(manifest_path)
    if weights and is_pruned(folder):
        raise BrokenArtefact(f"{folder}: its weights were pruned; make them again: snakemake --force {manifest_path}")
    files = {folder / name: wanted for name, wanted in manifest["files"].items() if weights or Path(name).suffix != WEIGHTS}
    for path in files:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BrokenArtefact(f"{path}: leads out of its artefact, to {path.resolve()}; delete {manifest_path} and rerun")
        if not path.is_file():
            raise BrokenArtefact(f"{path}: missing, but {manifest_path} names it; delete that manifest and rerun")
    for (path, wanted), found in zip(files.items(), sha256_files(list(files)), strict=True):
        if found != wanted["sha256"]:
            raise BrokenArtefact(
                f"{path}: sha256 is {found}, {manifest_path} says {wanted['sha256']}; delete that manifest and rerun"
            )
    return manifest
