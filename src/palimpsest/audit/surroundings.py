"""Check that artefacts were made in one environment, with committed code."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from palimpsest.audit.artefacts import Artefact
from palimpsest.audit.findings import Finding, short
from palimpsest.provenance.commit import DIRTY

Place = tuple[str, str]


def check_environments(artefacts: Mapping[str, Artefact]) -> Iterator[Finding]:
    """Yield artefacts whose versions, device or number of processes differ from most others'.

    Packages and devices are compared over the whole study, images and numbers of processes among the artefacts of one stage.
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
    """Yield an artefact that was made with uncommitted code."""
    if artefact.environment is None:
        return
    commit = artefact.environment.get("commit")
    if not commit:
        yield Finding("dirty-tree", artefact.path, "no commit is recorded: it was not made in a git checkout")
    elif str(commit).endswith(DIRTY):
        yield Finding("dirty-tree", artefact.path, f"made from a working tree that differed from commit {short(commit)}")


def _facts(artefact: Artefact) -> Iterator[tuple[Place, str]]:
    environment = artefact.environment
    if environment is None:
        return
    for name, version in environment.get("packages", {}).items():
        yield ("", name), str(version)
    yield ("", "python"), str(environment.get("python"))
    # A stage that does not load torch knows only the CPU as a device.
    if "torch" in environment.get("packages", {}):
        yield (_stage(artefact), "device"), str(environment.get("device"))
    yield (_stage(artefact), "image"), str(environment.get("image"))
    yield (_stage(artefact), "processes"), str(environment.get("processes"))


def _stage(artefact: Artefact) -> str:
    return str(artefact.manifest.get("stage"))
