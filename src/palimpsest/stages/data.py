"""The stage that brings a data set, whatever its source, into the one schema."""

import json

from palimpsest.data.settings import Source
from palimpsest.data.sources import read_source
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Spec(Settings):
    """The name of the benchmark and its source."""

    benchmark: str
    source: Source


def work(job: Job[Spec]) -> None:
    """Write the sets and source.json: kind, revision, licence, sha256 of source files, counts."""
    dataset = read_source(job.spec.source)
    counts = dataset.write(job.out)
    origin = {"benchmark": job.spec.benchmark, "kind": job.spec.source.kind, **dataset.origin, "counts": counts}
    (job.out / "source.json").write_text(json.dumps(origin, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage("data", Spec, work)
