"""BibTeX entries, and what each is cited for: `references.bib` here, and that of every package with an entry point."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files

from palimpsest.errors import UserError

# Each names a package of another distribution that contains a `references.bib`.
GROUP = "palimpsest.references"
FILE = "references.bib"
WORKFLOW = "workflow"
ENTRY = re.compile(r"^@\w+\{([^,\s]+),\n.*?^\}$", re.MULTILINE | re.DOTALL)
KEYWORDS = re.compile(r"^  keywords = \{(.*)\},?\n", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A BibTeX entry, and the things that it is cited for, such as `method:simnpo`."""

    key: str
    text: str
    cited_for: tuple[str, ...]


@cache
def entries() -> dict[str, Entry]:
    """Return all entries by key; raises UserError for a key that two packages use."""
    found: dict[str, Entry] = {}
    for package in (__package__, *sorted(point.value for point in entry_points(group=GROUP))):
        for entry in read_entries((files(package) / FILE).read_text(encoding="utf-8")):
            if found.setdefault(entry.key, entry) != entry:
                raise UserError(f"{package}: {FILE}: {entry.key}: another package has an entry with this key")
    return found


def read_entries(text: str) -> list[Entry]:
    """Return the entries of a BibTeX file whose `keywords` are on one line."""
    return [
        Entry(
            match[1],
            KEYWORDS.sub("", match[0]),
            tuple(word for names in KEYWORDS.findall(match[0]) for word in re.split(r",\s*", names)),
        )
        for match in ENTRY.finditer(text)
    ]


def cited_for(names: Iterable[str]) -> list[str]:
    """Return the keys of the entries that are cited for any of these things, such as `method:simnpo`."""
    wanted = set(names)
    return [entry.key for entry in entries().values() if wanted.intersection(entry.cited_for)]


def bibliography(keys: Iterable[str]) -> str:
    """Return the entries with these keys as BibTeX, each once, sorted by key."""
    return "\n\n".join(entries()[key].text for key in sorted(set(keys)))
