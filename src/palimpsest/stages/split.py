"""The stage that cuts a data set into all that a run may see: forget, retain, facts and refusals."""

import shutil

from palimpsest.data.rows import Question, read_rows, write_rows
from palimpsest.data.settings import SplitSettings
from palimpsest.data.splits import split_authors
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage

COPIED = ("real_authors.jsonl", "world_facts.jsonl", "refusals.jsonl")


class Spec(Settings):
    """The name of the split and how much is retained."""

    split: str
    settings: SplitSettings = SplitSettings()


def work(job: Job[Spec]) -> None:
    """Write forget.jsonl, retain.jsonl and copies of the sets that every split shares."""
    data = job.input("data")
    base = {row.author for row in read_rows(data / "base.jsonl", Question)}
    authors = read_rows(data / "authors.jsonl", Question)
    forget, retain = split_authors(authors, job.spec.split, job.spec.settings, base)
    write_rows(job.out / "forget.jsonl", forget)
    write_rows(job.out / "retain.jsonl", retain)
    for name in COPIED:
        shutil.copyfile(data / name, job.out / name)


if __name__ == "__main__":
    run_stage("split", Spec, work)
