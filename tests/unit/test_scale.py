"""Working out a study's jobs costs in proportion to their number, counted in function calls and not in seconds."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

from palimpsest.study.files import read_configs
from palimpsest.study.specs import spec_of
from palimpsest.study.stages import Artefacts
from palimpsest.study.study import Study

ROOT = Path(__file__).resolve().parents[2]


def calls(work: Callable[[], int]) -> tuple[int, int]:
    """Return how many functions were called, and what the work returned."""
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        result = work()
    finally:
        sys.setprofile(None)
    return counted, result


def work_out(seeds: int, variants: int) -> Callable[[], int]:
    """Return what asks for specs and inputs of every job of a study as Snakemake does, and returns their number."""
    config = read_configs([ROOT / "config.yaml"])
    config |= runpy.run_path(str(ROOT / "scripts" / "scale.py"))["study_of"](seeds, variants)

    def work() -> int:
        artefacts = Artefacts(Study(config))
        for node in artefacts.nodes.values():
            spec_of(artefacts.study, node)
            artefacts.inputs(node)
        return len(artefacts.nodes)

    return work


def test_four_times_the_jobs_are_four_times_the_work() -> None:
    work_out(2, 2)()  # what is read once
    few, some = calls(work_out(5, 24))
    many, more = calls(work_out(10, 48))
    assert some > 450
    assert more > 1900
    assert many / few < 1.2 * more / some
