"""The stage that takes a larger forget set, or a further request, out of texts; the first forget set is the data itself."""

import shutil

from palimpsest.errors import UserError
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Spec(Settings):
    """The name of the split, and of the file with its forget set."""

    split: str


def work(job: Job[Spec]) -> None:
    """Write forget.jsonl and retain.jsonl."""
    data, part = job.input("data"), f"{job.spec.split}.jsonl"
    if not (data / part).is_file():
        there = ", ".join(sorted(path.stem for path in data.glob("*.jsonl") if path.stem.startswith(("scale", "request"))))
        raise UserError(f"split {job.spec.split!r}: the data has none of that name: it has {there or 'no other than forget'}")
    shutil.copyfile(data / part, job.out / "forget.jsonl")
    shutil.copyfile(data / "retain.jsonl", job.out / "retain.jsonl")


if __name__ == "__main__":
    run_stage("text_split", Spec, work)
