"""The audit's page and its JSON, next to the report."""

import json
import time
from collections import Counter
from pathlib import Path

from palimpsest.audit import templates
from palimpsest.audit.artefacts import PAGE, PLAIN
from palimpsest.audit.findings import KINDS, short
from palimpsest.audit.verify import Verdict
from palimpsest.provenance.commit import describe_commit
from palimpsest.provenance.digest import ROOT
from palimpsest.report.page import page_environment


def write_page(verdict: Verdict, folder: Path) -> None:
    """Write `audit.html` and `audit.json`."""
    counts = Counter(finding.kind for finding in verdict.findings)
    faults = {path: sorted({each.kind for each in verdict.findings if _is_of(each.path, path)}) for path in verdict.artefacts}
    context = {
        "verdict": verdict,
        "counts": {kind: counts[kind] for kind in KINDS},
        "kinds": KINDS,
        "faults": faults,
        "megabytes": f"{verdict.bytes / 1e6:,.1f}",
        "by": short(describe_commit(ROOT.parent)) or "no commit",
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "short": short,
    }
    (folder / PLAIN).write_text(json.dumps(verdict.as_json(), indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(page_environment(templates.__name__).get_template(PAGE).render(context), encoding="utf-8")


def _is_of(path: str, artefact: str) -> bool:
    return path == artefact or path.startswith(f"{artefact}/")
