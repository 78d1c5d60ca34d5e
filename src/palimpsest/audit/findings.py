"""Findings of an audit: their kinds and their text."""

from dataclasses import dataclass

# Worst first; a finding of any kind fails the audit unless it is allowed.
KINDS = {
    "tampered": "bytes differ from the bytes that were produced",
    "missing": "a file or an artefact does not exist",
    "stale": "made from settings, code or inputs that differ from today's study",
    "orphaned": "not part of the study",
    "unpinned": "a source without a hash or a commit",
    "unrecorded": "Snakemake has no record of making it, so it would not notice a change",
    "mixed-environment": "made with other software or hardware than the rest",
    "dirty-tree": "made with code that is not in any commit",
}
# Number of hexadecimal digits of a hash in text.
SHOWN = 12


@dataclass(frozen=True)
class Finding:
    """One finding; `path` is relative to the results, and `.` means all results."""

    kind: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind:18}{self.path}: {self.reason}"


def short(digest: object) -> str:
    """Return the beginning of a hash."""
    return str(digest)[:SHOWN]
