"""All checks of an audit in order, and the verdict."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from palimpsest.audit import files
from palimpsest.audit.accepted import describe, describe_accepted
from palimpsest.audit.artefacts import Artefact, Contents, find_artefacts
from palimpsest.audit.chain import check_inputs, check_source, is_source, source_of
from palimpsest.audit.findings import KINDS, Finding
from palimpsest.audit.planned import Planned, Project, plan_jobs
from palimpsest.audit.study import check_presence, check_record, check_today
from palimpsest.audit.surroundings import check_commit, check_environments
from palimpsest.contract.equivalences import EQUIVALENCES, Equivalences, read_equivalences
from palimpsest.progress import track
from palimpsest.provenance.digest import ROOT


@dataclass(frozen=True)
class Verdict:
    """The artefacts and findings of an audit.

    `sources` describes the source of each artefact without inputs, `accepted` says why the code of an artefact counts as another,
    and `revoked` what contradicts an earlier acceptance. `pruned` has the bytes of the weights that were pruned, by artefact;
    `files` and `bytes` are those that are there.
    """

    results: str
    artefacts: dict[str, dict[str, Any]]
    files: int
    bytes: int
    sources: dict[str, str]
    commits: dict[str, int]
    accepted: dict[str, str]
    revoked: list[str]
    findings: list[Finding]
    pruned: dict[str, int]

    def failing(self, allowed: Collection[str] = ()) -> list[Finding]:
        """Return the findings whose kinds are not allowed."""
        return [finding for finding in self.findings if finding.kind not in allowed]

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return asdict(self)


def verify(project: Project) -> Verdict:
    """Check results against their manifests, and manifests against each other, today's study and Snakemake's records."""
    artefacts, known = find_artefacts(project.results), read_equivalences(project.results)
    planned = plan_jobs(project)
    whole = {path: artefact for path, artefact in artefacts.items() if artefact.is_readable}
    contents = Contents(whole)
    found = list(
        chain(
            check_bytes(project.results, artefacts),
            check_presence(artefacts, planned),
            *(_check_origin(artefact, whole, contents, planned.get(path), project, known) for path, artefact in whole.items()),
            check_environments(whole),
            *(check_commit(artefact) for artefact in whole.values()),
        )
    )
    order = list(KINDS)
    pruned = {path: each.pruned for path, each in whole.items() if each.pruned}
    return Verdict(
        results=project.called,
        artefacts={path: _described(artefact) for path, artefact in whole.items()},
        files=sum(len(each.manifest["files"].keys() - each.pruned.keys()) for each in whole.values()),
        bytes=sum(
            entry["size"] for each in whole.values() for name, entry in each.manifest["files"].items() if name not in each.pruned
        ),
        sources={path: text for path, each in whole.items() if is_source(each) and (text := source_of(each))},
        commits=dict(Counter(str((each.environment or {}).get("commit") or "none") for each in whole.values()).most_common()),
        accepted={path: text for path, each in whole.items() if (text := describe_accepted(each, known))},
        revoked=[describe(record) for record in known.records if record.contrary],
        findings=sorted(dict.fromkeys(found), key=lambda finding: (order.index(finding.kind), finding.path, finding.reason)),
        pruned={path: sum(files.values()) for path, files in pruned.items()},
    )


def check_bytes(results: Path, artefacts: Mapping[str, Artefact]) -> list[Finding]:
    """Return the findings from the results alone: files that differ from manifests, unknown files, differing copies."""
    found = [finding for artefact in artefacts.values() for finding in files.check_manifest(artefact)]
    listed = [(each, name) for each in artefacts.values() if each.is_readable for name in each.manifest["files"]]
    for artefact, name in track(listed, "hashing", total=len(listed)):
        found += files.check_file(artefact, name)
    return [*found, *files.check_strangers(results, artefacts), *files.check_copies(results)]


def format_verdict(verdict: Verdict) -> str:
    """Return a verdict as text for a terminal: every finding, then a summary."""
    counts = Counter(finding.kind for finding in verdict.findings)
    looked = f"{len(verdict.artefacts)} artefacts, {verdict.files} files, {verdict.bytes / 1e6:.1f} MB"
    if verdict.pruned:
        looked += f", {len(verdict.pruned)} pruned ({sum(verdict.pruned.values()) / 1e6:.1f} MB, whose hashes are known)"
    found = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
    lines = [*map(str, verdict.findings), f"{verdict.results}: {looked}: {found or 'every byte traces to its source'}"]
    if verdict.accepted:
        lines.append(f"{len(verdict.accepted)} of them by code that counts as equal to another ({EQUIVALENCES})")
    return "\n".join([*lines, *verdict.revoked])


def _check_origin(
    artefact: Artefact,
    here: Mapping[str, Artefact],
    contents: Contents,
    job: Planned | None,
    project: Project,
    known: Equivalences,
) -> Iterator[Finding]:
    """Yield findings about the provenance of one artefact."""
    yield from check_source(artefact)
    yield from check_inputs(artefact, here, contents, job, project.called)
    if job:
        yield from check_today(artefact, job, known)
        yield from check_record(artefact, job, ROOT.parent, known)


def _described(artefact: Artefact) -> dict[str, Any]:
    environment = artefact.environment or {}
    named = {name: environment.get(name) for name in ("commit", "device", "host", "image", "started", "seconds")}
    return {"stage": artefact.manifest["stage"], "manifest": artefact.sha256, **named}
