"""Stage `scores`: all numbers of one run, and what its figures, examples and the trail to its artefacts need."""

from typing import Any

from palimpsest.scores.artefacts import Evaluation, Trajectory
from palimpsest.scores.attacks import Attack
from palimpsest.scores.numbers import Measurements, tidy_numbers
from palimpsest.scores.tables import artefact_paths, examples, truth_ratios, weights
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
    spec = job.spec

    def identity(subject: Subject) -> dict[str, Any]:
        return spec.run.model_dump() | subject.model_dump()

    others = Subject(method="retrain", variant="")
    run = Measurements(
        evaluations=[Evaluation(identity(each), path) for each, path in job.each_input("eval", spec.evaluations)],
        attacks=[Attack(identity(each), path) for each, path in job.each_input("attack", spec.attacks)],
        trajectories=[Trajectory(identity(each), path) for each, path in job.each_input("trajectory", spec.trajectories)],
        other_retrains=[Evaluation(others.model_dump(), path) for path in job.inputs.get("retrain", [])],
    )
    # The run's folder is four levels below the results root.
    paths = artefact_paths([*run.evaluations, *run.attacks, *run.trajectories], root=job.out.parents[4])
    paths.to_csv(job.out / "artefacts.csv", index=False, lineterminator="\n")
    tidy_numbers(run).to_parquet(job.out / "scores.parquet", index=False)
    truth_ratios(run.evaluations).to_parquet(job.out / "truth_ratios.parquet", index=False)
    examples(run.evaluations).to_parquet(job.out / "examples.parquet", index=False)
    weights(run.trajectories).to_parquet(job.out / "weights.parquet", index=False)


if __name__ == "__main__":
    run_stage("scores", Spec, work)
