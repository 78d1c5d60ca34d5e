"""What docs/extending.md shows, and a package with the method of that page, as pip installs it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POINT = "bounded-ga = bounded.method:BoundedGA"
MODULE = "bounded.method"


def shown(heading: str) -> str:
    """Return the diff in a section of docs/extending.md."""
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    (diff,) = [re.findall(r"```diff\n(.*?)```", part, re.DOTALL) for part in section if part.startswith(f"{heading}\n")]
    return str(diff[0])


def shown_file(heading: str) -> str:
    """Return the file that such a diff adds."""
    lines = shown(heading).splitlines()
    return "".join(f"{line[1:]}\n" for line in lines[3:])


def install(site: Path, *, source: str | None = None, point: str = POINT) -> Path:
    """Install a package with the method of docs/extending.md, or with another source, below `site`."""
    (site / "bounded").mkdir(parents=True)
    (site / "bounded/__init__.py").write_text("")
    (site / "bounded/method.py").write_text(shown_file("A method") if source is None else source)
    (site / "bounded-1.0.dist-info").mkdir()
    (site / "bounded-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: bounded\nVersion: 1.0\n")
    (site / "bounded-1.0.dist-info/entry_points.txt").write_text(f"[palimpsest.methods]\n{point}\n")
    return site
