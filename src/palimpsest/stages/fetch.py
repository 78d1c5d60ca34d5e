"""Stage `fetch`: download the data sets that the tasks of a suite read from the Hub, and try its stock tasks."""

import json
import shutil

from palimpsest.contract.job import Job, run_stage
from palimpsest.settings import Revision, Settings


class Spec(Settings):
    """The data sets of the Hub, by name, each with its commit, and the stock tasks."""

    datasets: dict[str, Revision]
    tasks: list[str]


def work(job: Job[Spec]) -> None:
    """Write one folder per data set, and source.json; raises UserError if a task needs another data set or file."""
    from palimpsest.errors import UserError, first_line
    from palimpsest.evaluation.lm_eval.stock import downloaded, task_manager
    from palimpsest.hub import fetch_snapshot, is_offline

    manager = task_manager(job.spec.tasks)
    for repo, revision in job.spec.datasets.items():
        # A cached folder may have only the files that somebody has read, so without a network it is taken on trust.
        found = fetch_snapshot(repo, revision, "dataset", ["*"], whole=lambda _: is_offline())
        shutil.copytree(found, job.out / repo)
    with downloaded({repo: job.out / repo for repo in job.spec.datasets}, job.scratch):
        for task in job.spec.tasks:
            try:
                manager.load_task_or_group(task)
            except (OSError, ValueError) as error:
                raise UserError(f"suites: lm-eval: {task}: its data cannot be read: {first_line(error)}") from None
    (job.out / "source.json").write_text(json.dumps(job.spec.datasets, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage("fetch", Spec, work)
