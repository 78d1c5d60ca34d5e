"""Stage `scores`: all numbers of one run, and what its figures, examples and the trail to its artefacts need."""

from typing import Any, ClassVar

import pandas as pd

from palimpsest.scores.artefacts import Artefact, Attempt, Evaluation, Trajectory
from palimpsest.scores.attacks import Attack
from palimpsest.scores.numbers import Measurements, measure, tidy_numbers
from palimpsest.scores.remarks import Gap, remarks, undefined
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
    """The run, what each input is, in the order of the inputs, and which artefacts of the study could not be made."""

    takes_diverged: ClassVar[bool] = True

    run: Run
    evaluations: list[Subject]
    attacks: list[Attacked]
    trajectories: list[Watched]
    gaps: list[Gap] = []


def work(job: Job[Spec]) -> None:
    """Write the tables of the run."""
    other = {"method": "retrain", "variant": ""}
    retrains = [Evaluation(other, path) for path in job.inputs.get("retrain", [])]
    write(job, other_retrains=[retrain for retrain in retrains if not retrain.diverged])


def write(job: Job[Any], *, shared_retrain: Evaluation | None = None, **more: Any) -> None:
    """Write the tables of a run; `shared_retrain` and `more` are further fields of its `Measurements`."""
    spec: Spec = job.spec

    def identity(subject: Subject) -> dict[str, Any]:
        return spec.run.model_dump() | subject.model_dump()

    evaluations = [Evaluation(identity(each), path) for each, path in job.each_input("eval", spec.evaluations)]
    attacks = [Attack(identity(each), path) for each, path in job.each_input("attack", spec.attacks)]
    trajectories = [Trajectory(identity(each), path) for each, path in job.each_input("trajectory", spec.trajectories)]
    finished = [each for each in evaluations if not each.diverged]
    absent = {(gap.method, gap.variant) for gap in spec.gaps if gap.of == "evaluation"}
    absent |= {each.model for each in (*evaluations, shared_retrain) if each and each.diverged}
    watched = [each for each in trajectories if each.is_watched]
    run = Measurements(
        evaluations=finished,
        attacks=[each for each in attacks if not each.diverged],
        trajectories=watched,
        shared_retrain=None if shared_retrain and shared_retrain.diverged else shared_retrain,
        absent=absent,
        **more,
    )
    measured = measure(run)
    tried: dict[Attempt, list[Any]] = {"evaluation": evaluations, "attack": attacks, "trajectory": trajectories}
    said = remarks(spec.run.model_dump(), [(of, each) for of, listed in tried.items() for each in listed], spec.gaps)
    artefacts: list[Artefact] = [*evaluations, *attacks, *trajectories]
    told = pd.concat([said, undefined(measured)], ignore_index=True)
    write_tables(job.out, artefacts, tidy_numbers(measured), told, finished, watched)


if __name__ == "__main__":
    run_stage("scores", Spec, work)
