"""Check all packages pinned in envs/*.lock for known vulnerabilities. Exit code: 0 none, 1 some, 3 not audited.

pip-audit queries a database on the network; without pip-audit or a network, the pinned versions are listed as not audited.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NONE_KNOWN, VULNERABLE, NOT_AUDITED = 0, 1, 3


def pinned(locks: list[Path]) -> list[str]:
    """Return every `name==version` pinned in these locks, sorted and without duplicates."""
    lines = (line.strip() for lock in locks for line in lock.read_text(encoding="utf-8").splitlines())
    return sorted({line for line in lines if line and not line.startswith("#")})


def audited(requirements: list[str]) -> tuple[list[dict[str, Any]] | None, str]:
    """Return pip-audit's result for each package, or None and the reason why it failed."""
    if find_spec("pip_audit") is None:
        return None, "pip-audit is not installed: pip install pip-audit"
    command = [
        "-m",
        "pip_audit",
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
        "--requirement",
        "/dev/stdin",
    ]
    # The database does not know versions with a local part, such as torch's +cpu, so it is removed.
    text = "\n".join(requirement.partition("+")[0] for requirement in requirements)
    said = subprocess.run([sys.executable, *command], input=text, capture_output=True, text=True, check=False)
    try:
        return json.loads(said.stdout)["dependencies"], ""
    except (ValueError, KeyError):
        why = said.stderr.strip().splitlines() or ["it said nothing"]
        return None, f"pip-audit could not ask its database: {why[-1]}"


def main(locks: list[Path]) -> int:
    """Print one line per vulnerability and return the worst exit code."""
    requirements = pinned(locks)
    found, why = audited(requirements)
    if found is None:
        print("\n".join(requirements))
        print(f"NOT AUDITED: {len(requirements)} pinned packages, listed above. {why}", file=sys.stderr)
        return NOT_AUDITED
    for package in found:
        for flaw in package.get("vulns", []):
            fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
            print(f"{package['name']}=={package['version']}: {flaw['id']}, fixed in {fixed}")
    skipped = [package["name"] for package in found if "skip_reason" in package]
    if skipped:
        print(f"NOT AUDITED: {', '.join(skipped)}: the database does not know them", file=sys.stderr)
    vulnerable = sum(bool(package.get("vulns")) for package in found)
    print(f"{len(found) - len(skipped)} packages audited, {vulnerable} with known vulnerabilities")
    return VULNERABLE if vulnerable else NOT_AUDITED if skipped else NONE_KNOWN


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("locks", nargs="*", type=Path, metavar="LOCK", help="locks to check (default: all in envs)")
    locks = parser.parse_args().locks or sorted(ROOT.glob("envs/*.lock"))
    if missing := next((lock for lock in locks if not lock.is_file()), None):
        parser.error(f"{missing}: there is no such lock")
    sys.exit(main(locks))
