"""Stage `markov_scores`: all numbers of one original of the Markov-chain study and what came of it, in the form of `scores`."""

from pathlib import Path
from typing import Any

import pandas as pd

from palimpsest.markov.tables import TABLE, tidy_distances
from palimpsest.scores.artefacts import Artefact, Attempt
from palimpsest.scores.columns import COLUMNS, stack
from palimpsest.scores.remarks import remarks
from palimpsest.scores.tables import write_tables
from palimpsest.stages.contract import Job, run_stage
from palimpsest.stages.scores import Spec


def work(job: Job[Spec]) -> None:
    """Write the tables of the run; what only texts have is empty."""
    spec = job.spec
    run, suite = spec.run.model_dump(), spec.run.benchmark
    given: dict[Attempt, list[tuple[Any, Path]]] = {
        "evaluation": job.each_input("eval", spec.evaluations),
        "trajectory": job.each_input("trajectory", spec.trajectories),
    }
    tried = [
        (of, Artefact({**run, "method": each.method, "variant": each.variant, "suite": suite}, path))
        for of, listed in given.items()
        for each, path in listed
    ]
    artefacts = [artefact for _, artefact in tried]
    measured = [each for each in artefacts if (each.directory / TABLE).exists() or not each.diverged]
    numbers = [row | each.identity | {"attack": ""} for each in measured for row in tidy_distances(each.directory)]
    table = stack([pd.DataFrame(numbers, columns=COLUMNS)], COLUMNS)
    write_tables(job.out, artefacts, table, remarks(run, tried, spec.gaps))


if __name__ == "__main__":
    run_stage("markov_scores", Spec, work)
