"""Compare two ledgers: what differs, and where the differences begin."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from palimpsest.audit.ledger import Entry, Ledger

# The ways in which an artefact itself can differ; otherwise its inputs differ.
OWN = {"spec": "settings", "code": "code", "stage": "stage", "files": "files"}


@dataclass(frozen=True)
class Difference:
    """An artefact that differs: in which respects, whether its files differ, and where the difference begins."""

    path: str
    stage: str
    own: list[str]
    files: bool
    roots: list[str]
    """The first artefacts upstream that differ although their inputs agree; the artefact itself if there is none."""


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two ledgers."""

    same: int
    only_first: list[str]
    only_second: list[str]
    differences: list[Difference]
    environments: dict[str, tuple[dict[str, int], dict[str, int]]]
    studies: list[str]
    """What differs beside the artefacts: the config of the study, the codes that count as equal."""

    @property
    def agrees(self) -> bool:
        """Whether both contain the same study and the same artefacts with the same bytes."""
        return not (self.only_first or self.only_second or self.differences or self.studies)

    @property
    def roots(self) -> dict[str, int]:
        """The artefacts where differences begin, with the number of affected artefacts, in descending order."""
        return dict(Counter(root for each in self.differences for root in each.roots).most_common())

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return asdict(self) | {"agrees": self.agrees, "roots": self.roots}


def compare(first: Ledger, second: Ledger) -> Comparison:
    """Return the differences between two ledgers, each with the first artefacts upstream that differ themselves."""
    ones, others = first.artefacts, second.artefacts
    both = sorted(ones.keys() & others.keys())
    differing = {path for path in both if ones[path].manifest != others[path].manifest}
    alone = ones.keys() ^ others.keys()
    known: dict[str, list[str]] = {}

    def roots(path: str) -> list[str]:
        if path not in known:
            known[path] = [path]  # a ledger written by hand may have cycles
            entries = [ledger[path] for ledger in (ones, others) if path in ledger]
            sources = {source for entry in entries for source in entry.inputs.values() if source in differing or source in alone}
            found = {root for source in sources for root in roots(source)}
            known[path] = sorted(found) or [path]
        return known[path]

    facts = first.environments.keys() | second.environments.keys()
    pairs = {name: (first.environments.get(name, {}), second.environments.get(name, {})) for name in sorted(facts)}
    pairs["commit"] = (first.commits, second.commits)
    return Comparison(
        same=len(both) - len(differing),
        only_first=sorted(ones.keys() - others.keys()),
        only_second=sorted(others.keys() - ones.keys()),
        differences=[
            Difference(
                path=path,
                stage=ones[path].stage,
                own=sorted(_own(ones[path], others[path])),
                files=ones[path].files != others[path].files,
                roots=roots(path),
            )
            for path in sorted(differing)
        ],
        environments={name: pair for name, pair in pairs.items() if pair[0].keys() != pair[1].keys()},
        studies=[name for name in ("config", "equivalences") if _of_study(first, name) != _of_study(second, name)],
    )


def format_comparison(comparison: Comparison) -> str:
    """Return a comparison as text for a terminal."""
    lines = [f"{comparison.same} artefacts are the same"]
    lines += [f"only in the first: {path}" for path in comparison.only_first]
    lines += [f"only in the second: {path}" for path in comparison.only_second]
    if comparison.differences:
        moved = sum(each.files for each in comparison.differences)
        lines.append(f"{len(comparison.differences)} differ, {moved} of them in their files; the differences begin in:")
        own = {each.path: each for each in comparison.differences}
        for root, count in comparison.roots.items():
            reason = f"its {' and '.join(own[root].own) or 'list of inputs'}" if root in own else "it is only in one of them"
            behind = count - (root in own)
            lines.append(f"  {root}: {reason}{f', and {behind} downstream' if behind else ''}")
        # There may be further differences downstream of the first.
        for name, said in (("settings", "settings differ"), ("code", "code differs")):
            stages = sorted({each.stage for each in comparison.differences if name in each.own})
            lines += [f"{said} in stages: {', '.join(stages)}"] if stages else []
    lines += [f"{name}: not the same" for name in comparison.studies]
    for name, (one, other) in comparison.environments.items():
        lines.append(f"{name}: {', '.join(one) or 'none'} in the first, {', '.join(other) or 'none'} in the second")
    return "\n".join(lines)


def _of_study(ledger: Ledger, name: str) -> Any:
    """Return a part of a ledger that is no artefact; the folder of the results has any name."""
    return {**ledger.config, "results": ""} if name == "config" else getattr(ledger, name)


def _own(*entries: Entry) -> set[str]:
    """Return the respects in which the entries themselves differ."""
    return {name for field, name in OWN.items() if len({getattr(entry, field) for entry in entries}) > 1}
