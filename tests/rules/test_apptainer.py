"""The tiny study in the real images: the plain run's bytes, each job with the network or without, all folders seen."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT, TINY, Checkout, manifests

from palimpsest.errors import UserError
from palimpsest.study.images import find_containers

pytestmark = pytest.mark.slow
INTERFACES = "cut -d: -f1 -s /proc/net/dev"
SUM = """
import torch, torch.distributed as group
group.init_process_group("gloo")
number = torch.tensor(group.get_rank() + 1)
group.all_reduce(number)
print(f"sum {int(number)}\\n", end="")  # in one piece
"""


@pytest.fixture(scope="session", autouse=True)
def images() -> Path:
    """The folder of images; without one of them, or without apptainer, the tests are skipped."""
    if not shutil.which("apptainer"):
        pytest.skip("apptainer is not installed: scripts/install_apptainer.sh")
    try:
        find_containers(ROOT)
    except UserError as error:
        pytest.skip(str(error))
    return ROOT / "containers/images"


def inside(family: str, job: str) -> str:
    """Return what a job's command prints in a family's image, started as Snakemake starts it."""
    path = f"{ROOT / 'containers/bin'}{os.pathsep}{os.environ['PATH']}"
    image = str(ROOT / str(getattr(find_containers(ROOT), family)))
    command = ["apptainer", "exec", "--home", str(Path.cwd()), image, "bash", "-c", job]
    return subprocess.run(command, env={**os.environ, "PATH": path}, check=True, capture_output=True, text=True).stdout


def test_the_study_gives_the_plain_runs_bytes_from_another_folder(
    finished_once: Checkout, checkout: Checkout, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout.path / "containers/images").symlink_to(images)
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    # Nothing of /tmp is seen that was not asked for.
    monkeypatch.setenv("APPTAINER_NO_MOUNT", "tmp")
    monkeypatch.setenv("TMPDIR", str(scratch))
    ran = checkout.snakemake(
        "--configfile", str(checkout.path / TINY[1]), "--directory", str(work), "--sdm", "apptainer", alone=True
    )
    assert ran.returncode == 0, ran.stdout
    plain, contained = finished_once.path / "results", work / "results"
    assert manifests(plain) == manifests(contained)
    for name in ("report.html", "samples.html", "summary.csv", "run_config.yaml"):
        assert (plain / name).read_bytes() == (contained / name).read_bytes()


def test_only_a_job_that_is_to_see_the_network_does() -> None:
    assert inside("data", f"python --version >&2; {INTERFACES}").split() == ["lo"]
    assert len(inside("data", f"PALIMPSEST_NETWORK=yes {INTERFACES}").split()) > 1


def test_processes_of_a_job_without_network_find_each_other(tmp_path: Path) -> None:
    (tmp_path / "sum.py").write_text(SUM)
    said = inside("train", f"python -m torch.distributed.run --standalone --nproc-per-node=2 {tmp_path / 'sum.py'}; {INTERFACES}")
    assert said.count("sum 3") == 2 and said.split()[-1] == "lo"


def test_python_and_shell_inside_are_the_images_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hook.sh").write_text("echo leaked\n")
    for name, value in {"BASH_ENV": str(tmp_path / "hook.sh"), "PYTHONPATH": "/leaked", "PYTHONHOME": "/leaked"}.items():
        monkeypatch.setenv(name, value)
    said = inside("data", "python -c 'import sys; print(sys.prefix, sys.path)'")
    assert said.startswith("/opt/venv ") and "leaked" not in said and "site-packages" in said
