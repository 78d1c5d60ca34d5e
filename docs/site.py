"""Hooks of MkDocs (mkdocs.yml), so that links which lead out of docs/ work in the repository and on the site.

Pages outside docs/ get a place on the site. Any other linked file of the repository becomes a page that shows its text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs/"
# Pages outside docs/, by their place on the site.
PAGES = {"reference/config.md": "config/README.md", "contributing.md": "CONTRIBUTING.md", "changes.md": "CHANGELOG.md"}
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
# In tables a forge needs bars in code escaped, which Python-Markdown would show.
ROW, CODE = re.compile(r"^\|.*", re.MULTILINE), re.compile(r"`[^`]+`")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash"}
# Source text that a reader of the documentation does not search.
SHOWN = "---\nsearch: {{exclude: true}}\n---\n# {path}\n\n{fence}{language}\n{text}\n{fence}\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, and a page for every other file outside docs/ that a page links to."""
    for place, path in PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    linked = {path for file in files.documentation_pages() for path in _linked(file) if not path.startswith(DOCS)}
    for path in sorted(linked - {*PAGES.values()}):
        if (ROOT / path).is_file():
            files.append(File.generated(config, _place(path), content=_shown(path), inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the text of a page with its links rewritten to places on the site, and with plain bars in code."""
    if page.file.src_uri.startswith("repository/"):
        return markdown
    here = posixpath.dirname(page.file.src_uri)
    markdown = ROW.sub(lambda row: CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0]), markdown)
    return LINK.sub(lambda link: posixpath.relpath(_place(_path(page.file, link[1])), here or "."), markdown)


def _linked(file: File) -> set[str]:
    return {_path(file, link) for link in LINK.findall(file.content_string)}


def _path(file: File, link: str) -> str:
    """Return the path in the repository that a link of a page leads to."""
    source = PAGES.get(file.src_uri, DOCS + file.src_uri)
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _place(path: str) -> str:
    """Return the place on the site of a file of the repository."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return next((place for place, source in PAGES.items() if source == path), f"repository/{path}.md")


def _shown(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8").rstrip()
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=2))
    return SHOWN.format(path=path, fence=fence, language=LANGUAGES.get(Path(path).suffix, ""), text=text)
