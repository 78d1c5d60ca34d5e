"""Check results against the artefacts that the study would make today, and against Snakemake's records."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from palimpsest.audit.artefacts import Artefact
from palimpsest.audit.findings import Finding, short
from palimpsest.audit.planned import Planned
from palimpsest.contract.equivalences import Equivalences
from palimpsest.study.images import open_images

# Maximum number of differing settings in a message.
NAMED = 3


def check_presence(artefacts: Mapping[str, Artefact], planned: Mapping[str, Planned]) -> Iterator[Finding]:
    """Yield missing artefacts of the study, and artefacts that are not part of it."""
    for path, job in planned.items():
        if path not in artefacts:
            yield Finding("missing", path, f"the study needs it, but rule {job.rule} has not run")
    for path in artefacts.keys() - planned.keys():
        yield Finding("orphaned", path, "no job of the study makes it")


def check_today(artefact: Artefact, job: Planned, known: Equivalences) -> Iterator[Finding]:
    """Yield the differences between an artefact and the output of its job today; `known` says which codes count as equal."""
    manifest, command = artefact.manifest, job.command
    is_same_code = known.are_equal(command.stage, manifest["code"], command.code)
    spec = json.loads(command.spec)
    if manifest["spec"] != spec:
        differences = _differences(manifest["spec"], spec)
        yield Finding("stale", artefact.path, f"made with settings that differ from the study's: {differences}")
    if not is_same_code:
        commit = (artefact.environment or {}).get("commit")
        hint = f"; git diff {short(commit)} -- src shows how" if commit else ""
        code = f"{short(manifest['code'])} made it, today's is {short(command.code)}{hint}"
        yield Finding("stale", artefact.path, f"the code of stage {command.stage} has changed: {code}")
    if manifest["inputs"].keys() != command.inputs.keys():
        made, wanted = (", ".join(sorted(labels)) or "nothing" for labels in (manifest["inputs"], command.inputs))
        yield Finding("stale", artefact.path, f"made of {made}; the study uses {wanted}")
    elif job.changed and manifest["spec"] == spec and is_same_code:
        yield Finding("stale", artefact.path, f"Snakemake would make it again; changed since: {', '.join(job.changed)}")


def check_record(artefact: Artefact, job: Planned, root: Path, known: Equivalences) -> Iterator[Finding]:
    """Yield the differences between an artefact and Snakemake's record of its job; `root` contains the list of images."""
    record, manifest = job.record, artefact.manifest
    if record is None:
        yield Finding("unrecorded", artefact.path, ".snakemake has no metadata of it")
        return
    if record.incomplete:
        yield Finding("unrecorded", artefact.path, "Snakemake regards it as incomplete")
    if record.command is not None:
        said = {"spec": json.loads(record.command.spec), "code": record.command.code, "stage": record.command.stage}
        # A job that was planned with one of several equal codes may run with another, or be taken from the store.
        accepted = known.were_equal(record.command.stage, record.command.code, manifest["code"])
        for name, value in said.items():
            if manifest.get(name) != value and not (name == "code" and accepted):
                yield Finding("tampered", artefact.path, f"Snakemake ran its job with another {name} than the manifest names")
    image = Path(record.image).name if record.image else None
    environment = artefact.environment or {}
    if environment and environment.get("image") != image:
        reason = f"Snakemake ran it in {image or 'no container'}, it was made in {environment.get('image') or 'none'}"
        yield Finding("mixed-environment", artefact.path, reason)
    if image and image not in _images(root):
        yield Finding("stale", artefact.path, f"made in the image {image}, which containers/images.yaml does not list")


def _images(root: Path) -> set[str]:
    images = [image for _, image in open_images(root) if image is not None]
    return {Path(image if isinstance(image, str) else image.path).name for image in images}


def _differences(made: Any, wanted: Any) -> str:
    """Return a list, as text, of the settings in which two specs differ."""
    pairs = {key: (flat_made, flat_wanted) for key, flat_made, flat_wanted in _pairs(made, wanted)}
    named = [f"{key} {_text(a)}, now {_text(b)}" for key, (a, b) in sorted(pairs.items())[:NAMED]]
    return "; ".join(named) + (f"; and {len(pairs) - NAMED} more" if len(pairs) > NAMED else "")


def differing(made: Any, wanted: Any) -> list[str]:
    """Return the settings in which two specs differ."""
    return sorted({key for key, *_ in _pairs(made, wanted)})


def _pairs(made: Any, wanted: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(made, dict) and isinstance(wanted, dict):
        for name in made.keys() | wanted.keys():
            yield from _pairs(made.get(name), wanted.get(name), f"{key}.{name}" if key else name)
    elif isinstance(made, list) and isinstance(wanted, list) and len(made) == len(wanted):
        for place, (one, other) in enumerate(zip(made, wanted, strict=True)):
            yield from _pairs(one, other, f"{key}[{place}]")
    elif made != wanted:
        yield key, made, wanted


def _text(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
