"""Stage `data`: read a data set from its source and write it in the format of its benchmark."""

import json
from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from palimpsest.benchmarks.base import Source
from palimpsest.benchmarks.kinds import open_source
from palimpsest.contract.job import Job, run_stage
from palimpsest.settings import Settings


class Spec(Settings):
    """The source; the name of the benchmark is not in the data, so that another name trains nothing again."""

    source: Annotated[SerializeAsAny[Source], BeforeValidator(open_source)]


def work(job: Job[Spec]) -> None:
    """Write the sets and source.json: kind, revision, licence, sha256 of source files, counts."""
    data = job.spec.source.read()
    counts = data.write(job.out)
    origin = {"kind": job.spec.source.kind, **data.origin, "counts": counts}
    (job.out / "source.json").write_text(json.dumps(origin, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage("data", Spec, work)
