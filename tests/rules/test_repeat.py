"""Two runs agree, byte by byte."""

from pathlib import Path

import pytest
from checkout import TINY, Checkout, clone


@pytest.mark.parametrize("alone", [pytest.param(True, marks=pytest.mark.slow, id="each-job-a-python"), False])
def test_two_runs_from_scratch_give_the_same_manifests(finished_once: Checkout, tmp_path: Path, alone: bool) -> None:
    other = clone(tmp_path / "elsewhere")
    ran = other.snakemake(*TINY, alone=alone)
    assert ran.returncode == 0, ran.stdout
    first, second = _manifests(finished_once), _manifests(other)
    assert len(first) == 41
    assert first == second
    for name in ("report.html", "summary.csv", "run_config.yaml"):
        assert (finished_once.path / "results" / name).read_bytes() == (other.path / "results" / name).read_bytes()


def _manifests(checkout: Checkout) -> dict[str, bytes]:
    results = checkout.path / "results"
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in results.rglob("manifest.json")}
