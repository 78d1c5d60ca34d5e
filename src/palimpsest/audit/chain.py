"""Check that every artefact leads back, manifest by manifest, to pinned sources."""

from collections.abc import Iterator, Mapping
from typing import Any

from palimpsest.audit.artefacts import Artefact, Contents
from palimpsest.audit.findings import Finding, short
from palimpsest.audit.planned import Planned

IMPORT = "external"


def check_inputs(
    artefact: Artefact, here: Mapping[str, Artefact], contents: Contents, job: Planned | None, called: str
) -> Iterator[Finding]:
    """Yield the inputs of an artefact that have changed since.

    `here` contains all artefacts by their paths below the results, which Snakemake calls `called`.
    """
    paths = inputs_of(job, called) if job else {}
    for label, content in artefact.manifest["inputs"].items():
        source = here.get(paths[label]) if label in paths else contents.of(content, artefact, label)
        if source is None:
            yield Finding("stale", artefact.path, f"made of {label} {short(content)}, which is not in these results")
        elif source.content != content:
            reason = f"made of {label} {short(content)}, but {source.path} is now {short(source.content)}"
            yield Finding("stale", artefact.path, reason)


def inputs_of(job: Planned, called: str) -> dict[str, str]:
    """Return a job's inputs by label, as paths below the results, whose name for Snakemake is `called`."""
    return {label: source.parent.relative_to(called).as_posix() for label, source in job.command.inputs.items()}


def is_imported(artefact: Artefact) -> bool:
    """Return whether an artefact contains an imported log."""
    return bool(artefact.manifest["stage"] == IMPORT)


def is_source(artefact: Artefact) -> bool:
    """Return whether an artefact is a source: it has no inputs, or it is imported."""
    return is_imported(artefact) or not artefact.manifest["inputs"]


def source_of(artefact: Artefact) -> str | None:
    """Return a description of an artefact's source if it is pinned; None otherwise."""
    spec = artefact.manifest["spec"]
    if is_imported(artefact):
        logs = [log for log in (spec["log"], spec["retrain"]) if log]
        return f"imported, not made here: {spec['source']} ({'; '.join(_described(log) for log in logs)})"
    if "datasets" in spec:
        return "; ".join(f"{repo} at {short(revision)}" for repo, revision in spec["datasets"].items())
    source = spec.get("source") or spec.get("model") or spec
    kind = source.get("kind", "")
    if "sha256" in source:
        return f"{source['package']}/{source['file']}, sha256 {short(source['sha256'])}"
    if "revision" in source:
        repositories = [source, *([source["over"]] if source.get("over") else [])]
        pinned = [f"{of.get('repo') or of.get('name')} at {short(of['revision'])}" for of in repositories if of["revision"]]
        return " over ".join(pinned) if len(pinned) == len(repositories) else None
    if "path" in source:
        return f"folder {source['path']}, whose files are hashed in its source.json"
    return f"made here ({kind or artefact.manifest['stage'].rpartition('.')[2]}), seed {source.get('seed', spec.get('seed', 0))}"


def check_source(artefact: Artefact) -> Iterator[Finding]:
    """Yield the sources of an artefact that are not pinned."""
    spec = artefact.manifest["spec"]
    if is_source(artefact) and source_of(artefact) is None:
        name = spec["model"].get("name")
        yield Finding(
            "unpinned", artefact.path, f"{name} has no revision: it is a folder, pinned only by the hashes in its manifest"
        )


def _described(log: dict[str, Any]) -> str:
    return ", ".join(f"{log['path']} {name} sha256 {short(digest)}" for name, digest in log["files"].items())
