"""Two runs agree, byte by byte."""

import re
from pathlib import Path

import pytest
from checkout import TINY, Checkout, clone, manifests


@pytest.mark.parametrize("warm", [pytest.param("no", marks=pytest.mark.slow, id="each-job-a-python"), None])
def test_two_runs_from_scratch_give_the_same_manifests(
    finished_once: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm: str | None
) -> None:
    if warm:
        monkeypatch.setenv("PALIMPSEST_WARM", warm)
    other = clone(tmp_path / "elsewhere")
    ran = other.snakemake(*TINY, "--verbose", alone=True)
    assert ran.returncode == 0, ran.stdout
    # With its default limit of jobs per second, Snakemake looks at all jobs more and more often.
    jobs = int(re.findall(r"^total +(\d+)", ran.stdout, re.MULTILINE)[0])
    assert 0 < ran.stdout.count("Resources before job selection") < 3 * jobs
    first, second = manifests(finished_once.path / "results"), manifests(other.path / "results")
    assert first and first == second
    # And the same keys, so that each could take from the store of the other.
    keys = [{path.name for path in each.path.glob("results/.store/??/*")} for each in (finished_once, other)]
    assert keys[0] and keys[0] == keys[1]
    for name in ("report.html", "samples.html", "summary.csv", "run_config.yaml"):
        assert (finished_once.path / "results" / name).read_bytes() == (other.path / "results" / name).read_bytes()
