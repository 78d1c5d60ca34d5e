"""Whether artefacts were made in one environment, by code that a commit holds."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from palimpsest.audit.artefacts import Artefact
from palimpsest.audit.findings import Finding, short
from palimpsest.provenance.commit import DIRTY

Place = tuple[str, str]


def check_environments(artefacts: Mapping[str, Artefact]) -> Iterator[Finding]:
    """Yield artefacts made with another version, device or number of processes than most of those that have one.

    Packages and devices are compared over the whole study, images and numbers of processes among artefacts of one stage.
    """
    values = {path: dict(_facts(artefact)) for path, artefact in artefacts.items()}
    counts: dict[Place, Counter[str]] = defaultdict(Counter)
    for facts in values.values():
        for place, value in facts.items():
            counts[place][value] += 1
    usual = {place: min(counter, key=lambda value: (-counter[value], value)) for place, counter in counts.items()}
    for path, facts in values.items():
        other = {place: value for place, value in facts.items() if value != usual[place]}
        if other:
            said = [f"{name} {value}, most have {usual[_, name]}" for (_, name), value in sorted(other.items())]
            yield Finding("mixed-environment", path, "; ".join(said))


def check_commit(artefact: Artefact) -> Iterator[Finding]:
    """Yield an artefact that was made by code which no commit holds."""
    if artefact.environment is None:
        return
    commit = artefact.environment.get("commit")
    if not commit:
        yield Finding("dirty-tree", artefact.path, "no commit is on record: it was not made in a git checkout")
    elif str(commit).endswith(DIRTY):
        yield Finding("dirty-tree", artefact.path, f"made by a tree that differed from commit {short(commit)}")


def _facts(artefact: Artefact) -> Iterator[tuple[Place, str]]:
    environment = artefact.environment
    if environment is None:
        return
    for name, version in environment.get("packages", {}).items():
        yield ("", name), str(version)
    yield ("", "python"), str(environment.get("python"))
    # A stage that loads no torch knows of no other device than the CPU.
    if "torch" in environment.get("packages", {}):
        yield (_stage(artefact), "device"), str(environment.get("device"))
    yield (_stage(artefact), "image"), str(environment.get("image"))
    yield (_stage(artefact), "processes"), str(environment.get("processes"))


def _stage(artefact: Artefact) -> str:
    return str(artefact.manifest.get("stage"))
