"""What an audit finds: kinds of findings, and the hashes and paths in their sentences."""

from dataclasses import dataclass

# Worst first; a finding of any kind fails an audit that was not told to allow it.
KINDS = {
    "tampered": "bytes that are not those which were made",
    "missing": "a file or an artefact that should be there",
    "stale": "made from other settings, code or inputs than the study has today",
    "orphaned": "no part of the study",
    "unpinned": "a source that neither a hash nor a commit holds fast",
    "unrecorded": "Snakemake does not remember making it, so it would not notice a change",
    "mixed-environment": "made with other software or hardware than the rest",
    "dirty-tree": "made by code that no commit holds",
}
# Hexadecimal digits of a hash in a sentence.
SHOWN = 12


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be; `path` is below the results, `.` all of them."""

    kind: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind:18}{self.path}: {self.reason}"


def short(digest: object) -> str:
    """Return the beginning of a hash."""
    return str(digest)[:SHOWN]
