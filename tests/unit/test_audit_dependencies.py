"""The audit of what is pinned: its exit code says whether it was done, and a table of versions is never taken for one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "audit_dependencies.py"
FLAW = {"id": "PYSEC-1", "fix_versions": ["2.0"]}


def audit(tmp_path: Path, stand_in: str | None = None) -> subprocess.CompletedProcess[str]:
    """Audit two packages; `stand_in` is what runs as pip-audit, whose database no test can count on."""
    lock = tmp_path / "small.lock"
    lock.write_text("# Made by hand.\nalpha==1.0\nbeta==2.0+cpu\n")
    if stand_in is not None:
        (tmp_path / "pip_audit").mkdir()
        (tmp_path / "pip_audit" / "__init__.py").touch()
        (tmp_path / "pip_audit" / "__main__.py").write_text(stand_in)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    return subprocess.run([sys.executable, SCRIPT, lock], env=env, capture_output=True, text=True, check=False)


def check_listed(done: subprocess.CompletedProcess[str], why: str) -> None:
    assert done.returncode == 3
    assert done.stdout == "alpha==1.0\nbeta==2.0+cpu\n"
    assert done.stderr == f"NOT AUDITED: 2 pinned packages, listed above. {why}\n"


def test_without_pip_audit_versions_are_listed_and_said_to_be_unaudited(tmp_path: Path) -> None:
    if find_spec("pip_audit"):
        pytest.skip("pip-audit is installed")
    check_listed(audit(tmp_path), "pip-audit is not installed: pip install pip-audit")


def test_offline_too(tmp_path: Path) -> None:
    done = audit(tmp_path, "import sys\nsys.exit('Traceback\\nConnectionError: no route to host')")
    check_listed(done, "pip-audit could not ask its database: ConnectionError: no route to host")


@pytest.mark.parametrize(
    ("beta", "code", "said"),
    [
        ({"vulns": []}, 0, "2 packages audited, 0 with known vulnerabilities\n"),
        ({"vulns": [FLAW]}, 1, "beta==2.0: PYSEC-1, fixed in 2.0\n2 packages audited, 1 with known vulnerabilities\n"),
        ({"skip_reason": "not found"}, 3, "1 packages audited, 0 with known vulnerabilities\n"),
    ],
)
def test_what_the_database_says(tmp_path: Path, beta: dict[str, object], code: int, said: str) -> None:
    answer = {"dependencies": [{"name": "alpha", "version": "1.0", "vulns": []}, {"name": "beta", "version": "2.0", **beta}]}
    done = audit(tmp_path, f"import sys\nassert sys.stdin.read() == 'alpha==1.0\\nbeta==2.0'\nprint({json.dumps(answer)!r})")
    assert (done.returncode, done.stdout) == (code, said)


def test_every_lock_is_read(tmp_path: Path) -> None:
    """Without a vulnerability database, the audit lists all pinned packages."""
    (tmp_path / "pip_audit.py").write_text("raise SystemExit(1)")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, SCRIPT], env=env, capture_output=True, text=True, check=False)
    locks = [path.read_text(encoding="utf-8").splitlines() for path in ROOT.glob("envs/*.lock")]
    assert set(done.stdout.splitlines()) == {line for lock in locks for line in lock if line and not line.startswith("#")}
