"""The ledger of a study: the hashes of every artefact, in a small file to commit with a paper."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from palimpsest.audit.artefacts import CONFIG, Artefact, Contents, find_artefacts
from palimpsest.contract.equivalences import read_equivalences
from palimpsest.errors import UserError
from palimpsest.provenance.canonical import canonical_json, sha256_text
from palimpsest.settings import Settings
from palimpsest.study.files import read_file

HEAD = ("format", "commits", "environments", "config", "equivalences")


class Entry(Settings):
    """One artefact: the hashes of its manifest, spec and files, its code, and its inputs."""

    manifest: str
    stage: str
    spec: str
    code: str
    files: str
    inputs: dict[str, str]
    """The path of each input by its label; its hash if it is not among the artefacts."""


class Ledger(Settings):
    """All artefacts of a study by their paths, with the config and the environments."""

    format: Literal[1] = 1
    config: dict[str, Any] = {}
    """The resolved config of the study; with a checkout of the commit, it suffices to reproduce the study."""
    commits: dict[str, int]
    """The number of artefacts by commit of the code."""
    environments: dict[str, dict[str, int]]
    """The number of artefacts by version of each package and of Python, and by device."""
    equivalences: list[dict[str, Any]] = []
    """The codes that count as equal, each pair with the artefacts that both made, and the revoked pairs."""
    artefacts: dict[str, Entry]


def derive_ledger(results: Path) -> Ledger:
    """Return the ledger of results from their manifests; unreadable manifests are left out."""
    artefacts = {path: each for path, each in find_artefacts(results).items() if each.is_readable}
    here = Contents(artefacts)
    config = results / CONFIG
    return Ledger(
        config=dict(read_file(config)) if config.is_file() else {},
        commits=_counted(str((each.environment or {}).get("commit")) for each in artefacts.values()),
        environments=_environments(artefacts),
        equivalences=[asdict(record) for record in read_equivalences(results).records],
        artefacts={path: _entry(each, here) for path, each in artefacts.items()},
    )


def write_ledger(ledger: Ledger) -> str:
    """Return a ledger as text with one line per artefact, so that differences are visible in a diff."""
    plain = ledger.model_dump()
    head = [f'"{name}":{canonical_json(plain[name])}' for name in HEAD]
    lines = [f"{json.dumps(path)}:{canonical_json(entry)}" for path, entry in sorted(plain["artefacts"].items())]
    return "{" + ",\n".join(head) + ',\n"artefacts":{\n' + ",\n".join(lines) + "\n}}\n"


def read_ledger(path: Path) -> Ledger:
    """Return the ledger in a file, or the ledger of a folder of results; raises UserError if the path is neither."""
    if path.is_dir():
        return derive_ledger(path)
    try:
        return Ledger.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, ValidationError) as error:
        raise UserError(f"{path}: not a ledger of `palimpsest audit freeze`: {_first(error)}") from None


def _entry(artefact: Artefact, here: Contents) -> Entry:
    manifest = artefact.manifest
    return Entry(
        manifest=artefact.sha256,
        stage=manifest["stage"],
        spec=manifest["spec_sha256"],
        code=manifest["code"],
        files=sha256_text(canonical_json(manifest["files"])),
        inputs={
            label: source.path if (source := here.of(content, artefact, label)) else content
            for label, content in manifest["inputs"].items()
        },
    )


def _environments(artefacts: Mapping[str, Artefact]) -> dict[str, dict[str, int]]:
    environments = [each.environment for each in artefacts.values() if each.environment]
    packages = sorted({name for environment in environments for name in environment.get("packages", {})})
    counted = {
        name: _counted(environment["packages"][name] for environment in environments if name in environment["packages"])
        for name in packages
    }
    return counted | {name: _counted(str(environment.get(name)) for environment in environments) for name in ("python", "device")}


def _counted(values: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    return str(error)
