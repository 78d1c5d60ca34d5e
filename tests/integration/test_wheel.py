"""The wheel: complete, installed in seconds without torch, and enough to score a log."""

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "palimpsest"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the sources, built in a copy so that nothing is left in the checkout."""
    copied = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "src", copied / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copied)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), "."]
    subprocess.run(command, cwd=copied, check=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    own = {f"palimpsest/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*") if path.is_file()}
    assert {name for name in own if "__pycache__" not in name} <= names
    assert {"palimpsest/report/templates/page.html", "palimpsest/export/references.bib"} <= names


def test_the_wheel_scores_a_log_without_torch(wheel: Path, shared: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", str(wheel)], check=True)
    seconds = time.monotonic() - started
    print(f"installed in {seconds:.1f} s")
    # Without this checkout on the path.
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    listed = subprocess.run([*pip, "list", "--format", "json"], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "snakemake"} & {each["name"] for each in json.loads(listed.stdout)}
    folder = shared / "data" / "tofu_eval_logs"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["model_utility"]["llama2-7b_full"]
    palimpsest = str(tmp_path / "venv" / "bin" / "palimpsest")
    command = [palimpsest, "score", "tofu", "--json", "--log", str(folder / "llama2-7b_full")]
    scored = subprocess.run(command, capture_output=True, text=True, env=bare, cwd=tmp_path, check=True)
    assert json.loads(scored.stdout)["model_utility"] == pytest.approx(expected["Model Utility"], rel=0, abs=1e-9)
    for arguments in (["--version"], ["list", "methods", "attacks", "benchmarks", "metrics"]):
        assert subprocess.run([palimpsest, *arguments], env=bare, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "config.yaml").write_text("study: mine\n", encoding="utf-8")
    refused = subprocess.run([palimpsest, "validate"], env=bare, cwd=tmp_path, capture_output=True, text=True)
    told = "palimpsest validate: needs snakemake; pip install 'palimpsest[workflow]'\n"
    assert (refused.returncode, refused.stderr) == (2, told)
