"""Stage `markov_scores`: all numbers of one original of the Markov-chain study and what came of it, in the form of `scores`."""

import pandas as pd

from palimpsest.markov.tables import tidy_distances
from palimpsest.scores.artefacts import Artefact
from palimpsest.scores.columns import COLUMNS, stack
from palimpsest.scores.tables import write_tables
from palimpsest.stages.contract import Job, run_stage
from palimpsest.stages.scores import Spec


def work(job: Job[Spec]) -> None:
    """Write the tables of the run; what only texts have is empty."""
    spec = job.spec
    given = [*job.each_input("eval", spec.evaluations), *job.each_input("trajectory", spec.trajectories)]
    suite = spec.run.benchmark
    artefacts = [
        Artefact({**spec.run.model_dump(), "method": each.method, "variant": each.variant, "suite": suite}, path)
        for each, path in given
    ]
    numbers = [row | each.identity | {"attack": ""} for each in artefacts for row in tidy_distances(each.directory)]
    write_tables(job.out, artefacts, stack([pd.DataFrame(numbers, columns=COLUMNS)], COLUMNS))


if __name__ == "__main__":
    run_stage("markov_scores", Spec, work)
