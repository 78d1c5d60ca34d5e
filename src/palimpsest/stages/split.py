"""Stage `split`: write the data that a run may see: the forget set, the retain set, and the sets that all splits share."""

from typing import Any

from palimpsest.benchmarks.kinds import load_part
from palimpsest.contract.job import Job, run_stage
from palimpsest.settings import Settings


class Spec(Settings):
    """The kind of the benchmark, the name of the split, and the benchmark's settings that the kind reads."""

    kind: str
    split: str
    settings: dict[str, Any] = {}


def work(job: Job[Spec]) -> None:
    """Write forget.jsonl, retain.jsonl, and the further sets of the kind."""
    load_part(job.spec.kind, "splits").cut(job.input("data"), job.spec.split, job.spec.settings, job.out)


if __name__ == "__main__":
    run_stage("split", Spec, work)
