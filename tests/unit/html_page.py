"""A page as a test reads it."""

import re
from html.parser import HTMLParser
from pathlib import Path

from palimpsest.report import templates
from palimpsest.report.page import source_hash
from palimpsest.report.style import bundle

SCRIPT = (Path(templates.__file__).parent / "page.js").read_text(encoding="utf-8")

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page and fails on a tag that is not closed as it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script" and dict(attrs).get("type") != "application/json":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data
        elif self.tags[-1] == ("script", {}):
            self.scripts[-1] += data

    def runs_its_own_scripts(self) -> bool:
        """Return whether all that can run is what the pages bring, by the policy of this page too."""
        (policy,) = [attrs["content"] or "" for _, attrs in self.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
        named = re.search(r"script-src((?: 'sha256-[^']+')+)$", policy)
        hashes = [f"'{source_hash(script)}'" for script in self.scripts]
        return bool(named) and named[1].split() == hashes and self.scripts in ([SCRIPT], [bundle(), SCRIPT])

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]
