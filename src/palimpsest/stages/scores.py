"""Stage `scores`: all numbers of one run, and what its figures, examples and the trail to its artefacts need."""

from dataclasses import replace
from typing import Any

from palimpsest.scores.artefacts import Evaluation, Trajectory
from palimpsest.scores.attacks import Attack
from palimpsest.scores.numbers import Measurements, tidy_numbers
from palimpsest.scores.tables import write_tables
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Run(Settings):
    """One original and one Retrain with all that came of them."""

    benchmark: str
    split: str
    model: str
    seed: int


class Subject(Settings):
    """A model of the run; of original, original-half and retrain the variant is empty."""

    method: str
    variant: str


class Attacked(Subject):
    """A model under an attack."""

    attack: str


class Watched(Subject):
    """A model watched by a suite while it unlearns."""

    suite: str


class Spec(Settings):
    """The run, and what each input is, in the order of the inputs."""

    run: Run
    evaluations: list[Subject]
    attacks: list[Attacked]
    trajectories: list[Watched]


def work(job: Job[Spec]) -> None:
    """Write the tables of the run."""
    other = {"method": "retrain", "variant": ""}
    write(job, replace(measured(job), other_retrains=[Evaluation(other, path) for path in job.inputs.get("retrain", [])]))


def measured(job: Job[Any]) -> Measurements:
    """Return what the inputs are of which the spec says whose they are."""
    spec: Spec = job.spec

    def identity(subject: Subject) -> dict[str, Any]:
        return spec.run.model_dump() | subject.model_dump()

    return Measurements(
        evaluations=[Evaluation(identity(each), path) for each, path in job.each_input("eval", spec.evaluations)],
        attacks=[Attack(identity(each), path) for each, path in job.each_input("attack", spec.attacks)],
        trajectories=[Trajectory(identity(each), path) for each, path in job.each_input("trajectory", spec.trajectories)],
    )


def write(job: Job[Any], run: Measurements) -> None:
    """Write the tables of what was measured of a run."""
    artefacts = [*run.evaluations, *run.attacks, *run.trajectories]
    write_tables(job.out, artefacts, tidy_numbers(run), run.evaluations, run.trajectories)


if __name__ == "__main__":
    run_stage("scores", Spec, work)
