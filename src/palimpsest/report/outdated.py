"""A published page that no longer fits its study: it says so itself, until it is made again."""

import shutil
from pathlib import Path

BODY = "<body>\n"
MARK = (
    '<p class="outdated" role="status"><strong>This page is out of date.</strong> A run of the study began after it was made and '
    "has not replaced it. Run <code>snakemake</code> again.</p>\n"
)


def mark(page: Path) -> None:
    """Put the mark on top of a page, where there is a page that has none."""
    if page.is_file() and MARK not in (text := page.read_text(encoding="utf-8")):
        _write(page, text.replace(BODY, BODY + MARK, 1))


def is_marked(page: Path) -> bool:
    """Return whether there is a page, and it has the mark."""
    return page.is_file() and MARK in page.read_text(encoding="utf-8")


def unmark(page: Path, source: Path) -> None:
    """Put the page that it was published from in the place of a marked one."""
    if source.is_file() and is_marked(page):
        _write(page, source.read_text(encoding="utf-8"))


def _write(page: Path, text: str) -> None:
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(text, encoding="utf-8")
    shutil.copymode(page, partial)
    partial.replace(page)
