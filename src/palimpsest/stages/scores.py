"""Stage `scores`: all numbers of one run, and tables for its figures, its examples and the paths of its artefacts."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from palimpsest.contract.job import Job, run_stage
from palimpsest.evaluation.items import DIVERGENCE_TABLE, TABLE, read_frame
from palimpsest.evaluation.judging.scores import SCORING as JUDGED
from palimpsest.evaluation.metric import Against, score
from palimpsest.names import ModelId
from palimpsest.scores.artefacts import Artefact, Measured
from palimpsest.scores.ids import evaluation_parts
from palimpsest.scores.numbers import Place, Retrains, Scorer, Scores, tidy_numbers
from palimpsest.scores.remarks import Gap, remarks, undefined
from palimpsest.scores.tables import artefact_paths, examples, losses, prompts, samples, truth_ratios, weights
from palimpsest.settings import Settings


class Run(Settings):
    """One original and one Retrain, with all models made from them."""

    benchmark: str
    split: str
    model: str
    seed: int


class Spec(Settings):
    """The run, the kinds of its suites by name, and which artefacts of the study could not be made.

    `settings` has the settings of a suite that only the scores read. `attacks` names the suites that score an attack's losses,
    `trajectories` the suite that measured a training. The ids of the inputs `attack` and `trajectory` are the folders of models
    below the run; to these, the ids of `eval` and `judged` add a suite. The inputs `original` and `retrain` are what the run is
    compared with, and `other_retrains` are the Retrains of other seeds, by suite; `published` are published scores of a Retrain.
    """

    takes_diverged: ClassVar[bool] = True
    reads_weights: ClassVar[bool] = False

    run: Run
    suites: dict[str, str]
    settings: dict[str, dict[str, Any]] = {}
    attacks: dict[str, list[str]] = {}
    trajectories: dict[str, str] = {}
    published: dict[str, float] = {}
    gaps: list[Gap] = []


def work(job: Job[Spec]) -> None:
    """Write the tables of the run."""
    spec, measured = job.spec, list(_measured(job))
    # Cached, because several tables read the items of the same model.
    read = cache(read_frame)
    scorers = {
        suite: Scorer(suite, kind, _retrains(job, suite), spec.settings.get(suite), read) for suite, kind in spec.suites.items()
    }
    scored = [pair for each in measured for pair in _scored(each, scorers)]
    told = [remarks(spec.run.model_dump(), measured, spec.gaps), undefined(scored)]
    said = samples(measured, scorers)
    tables = {
        "scores": tidy_numbers(scored),
        "remarks": pd.concat(told, ignore_index=True),
        "truth_ratios": truth_ratios(measured, scorers),
        "samples": said,
        "examples": examples(said, scorers),
        "prompts": prompts(measured),
        "weights": weights(measured),
        "losses": losses(measured, scorers),
    }
    for name, table in tables.items():
        table.to_parquet(job.out / f"{name}.parquet", index=False)
    artefact_paths(measured).to_csv(job.out / "artefacts.csv", index=False, lineterminator="\n")


def _measured(job: Job[Spec]) -> Iterator[Measured]:
    """Yield the measurements of the run's models."""
    spec, run = job.spec, ModelId(**job.spec.run.model_dump())
    for each, path in job.inputs("eval").items():
        subject, suite = evaluation_parts(each)
        yield Measured(run.at(subject).columns, path, "evaluation", [suite])
    for each, path in job.inputs("judged").items():
        subject, suite = evaluation_parts(each)
        if not Artefact({}, job.inputs("eval")[each]).diverged:
            yield Measured(run.at(subject).columns, path, "judge", [suite])
    for subject, path in job.each_input("attack", spec.attacks).items():
        yield Measured(run.at(subject).columns, path, "attack", spec.attacks[subject])
    for subject, path in job.each_input("trajectory", spec.trajectories).items():
        yield Measured(run.at(subject).columns, path, "trajectory", [spec.trajectories[subject]])


def _retrains(job: Job[Spec], suite: str) -> Retrains:
    """Return the Retrains and the Original that a suite compares the run's models with, without those that diverged."""
    given = {
        name: [path for each, path in job.inputs(name).items() if evaluation_parts(each)[1] == suite]
        for name in ("original", "retrain", "other_retrains")
    }
    original, own, others = ([path / TABLE for path in paths if not Artefact({}, path).diverged] for paths in given.values())
    is_absent = bool(given["retrain"]) or any((gap.method, gap.of) == ("retrain", "evaluation") for gap in job.spec.gaps)
    return Retrains(
        own[0] if own else None,
        others,
        job.spec.published,
        original[0] if original else None,
        is_absent=is_absent and not own,
    )


def _scored(measured: Measured, scorers: dict[str, Scorer]) -> Iterator[tuple[Place, Scores]]:
    """Yield the scores of an artefact by suite and epoch; for a trajectory also the divergence from the start model."""
    if measured.of == "judge":
        for suite, path in measured.tables().items():
            verdicts = JUDGED.read(read_frame(path), path)
            yield measured.identity | {"suite": suite, "epoch": None}, dict(score(JUDGED.metrics, verdicts, Against()))
        return
    moved = _divergences(measured.directory / DIVERGENCE_TABLE)
    for suite, path in measured.tables().items():
        for epoch, scores in scorers[suite].scores(path):
            yield measured.identity | {"suite": suite, "epoch": epoch}, scores | moved.get(epoch, {})


def _divergences(path: Path) -> dict[int | None, Scores]:
    """Return by epoch the divergence from the start model on each set, in nats per token; empty if there is no table."""
    if not path.exists():
        return {}
    rows = read_frame(path)
    return {
        int(str(epoch)): {f"kl_{name}": value for name, value in zip(of["set"], of["kl"], strict=True)}
        for epoch, of in rows.groupby("epoch")
    }


if __name__ == "__main__":
    run_stage("scores", Spec, work)
