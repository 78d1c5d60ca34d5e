"""Stage `external`: keep an imported evaluation log with its source, and compute its numbers."""

import json
from pathlib import Path
from typing import ClassVar

from palimpsest.benchmarks.suites import load
from palimpsest.contract.job import Job, run_stage
from palimpsest.errors import Diverged
from palimpsest.evaluation.items import TABLE
from palimpsest.provenance.manifest import MANIFEST, read_manifest
from palimpsest.scores.numbers import tidy_numbers
from palimpsest.settings import Settings

# Marks an artefact as imported, in contrast to all that were made here.
ORIGIN = "imported"


class LogFiles(Settings):
    """A log on this machine: its path, and the sha256 of each of its files by name, which identify it."""

    path: str
    files: dict[str, str]


class Place(Settings):
    """Where the log is shown: the run, beside whose models it appears, and the suite."""

    benchmark: str
    split: str
    model: str
    seed: int
    suite: str


class Spec(Settings):
    """The imported log and the kind of its suite; without a log for `retrain`, the run's own Retrain is an input."""

    takes_diverged: ClassVar[bool] = True

    name: str
    kind: str
    place: Place
    source: str
    log: LogFiles
    retrain: LogFiles | None


def work(job: Job[Spec]) -> None:
    """Copy the log, describe it, and write its numbers."""
    spec, imported = job.spec, load(job.spec.kind, "imported").ImportedLog
    log = imported(Path(spec.log.path), spec.log.files, job.out / "log")
    described = {"name": spec.name, **spec.place.model_dump(), "origin": ORIGIN, "source": spec.source}
    described |= {"log": log.describe(), "retrain": None}
    if spec.retrain:
        retrain = imported(Path(spec.retrain.path), spec.retrain.files, job.out / "retrain")
        described["retrain"] = retrain.describe()
    else:
        folder = job.input("retrain")
        diverged = Diverged.from_record(record) if (record := read_manifest(folder / MANIFEST).get("diverged")) else None
        retrain = diverged or folder / TABLE
    scores, doubts = log.score(retrain)
    place = spec.place.model_dump() | {"method": spec.name, "variant": "", "attack": "", "epoch": None}
    tidy_numbers([(place, scores)]).to_parquet(job.out / "scores.parquet", index=False)
    text = json.dumps(described | doubts, indent=1, ensure_ascii=True) + "\n"
    (job.out / "provenance.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_stage("external", Spec, work)
