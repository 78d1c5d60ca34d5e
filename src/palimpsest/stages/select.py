"""Stage `select`: select one trial of a method and its last epoch from trajectories, by a rule."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pandas as pd
from pydantic import Field

from palimpsest.benchmarks.suites import SETTINGS
from palimpsest.contract.job import Job, run_stage
from palimpsest.errors import Diverged, UserError
from palimpsest.evaluation.items import TABLE
from palimpsest.evaluation.suite import Aim
from palimpsest.metrics.spread import mean
from palimpsest.provenance.manifest import FACT, Remark
from palimpsest.scores.artefacts import Artefact, Measured
from palimpsest.scores.numbers import Retrains, Scorer
from palimpsest.selection.rule import MEASURED, compare_trials, explain_selection
from palimpsest.selection.settings import SelectionRule
from palimpsest.settings import Settings, spelled
from palimpsest.training.settings import UnlearnSettings


class Trial(Settings):
    """A variant's settings, which all its runs share, in one run: one trajectory."""

    variant: str
    run: str
    training: UnlearnSettings
    loss: dict[str, Any]


class Spec(Settings):
    """The rule, the suite that judges, the trials, and the runs whose original and Retrain are compared.

    `settings` has the settings of the suite that only the scores read. The ids of the inputs are the run for `original` and
    `retrain`, and `RUN/VARIANT` for `trajectory`.
    """

    takes_diverged: ClassVar[bool] = True
    reads_weights: ClassVar[bool] = False

    rule: SelectionRule
    suite: str
    kind: str
    settings: dict[str, Any] = {}
    trials: Annotated[list[Trial], Field(min_length=1)]
    runs: Annotated[list[str], Field(min_length=1)]


def work(job: Job[Spec]) -> None:
    """Write the selection, and the table of its candidates."""
    spec, aims = job.spec, job.spec.rule.aims
    if SETTINGS[spec.kind].aims != aims:
        raise UserError(f"spec: rule: maximise: {spec.rule.maximise} is not a score of {spec.suite}, the suite that judges")
    originals, retrains = (job.each_input(role, spec.runs) for role in ("original", "retrain"))
    for path in (*originals.values(), *retrains.values()):
        if diverged := Artefact({}, path).diverged:
            raise diverged
    scorers = {run: Scorer(spec.suite, spec.kind, Retrains(path / TABLE), spec.settings) for run, path in retrains.items()}
    trials = {f"{trial.run}/{trial.variant}": trial for trial in spec.trials}
    paths = job.each_input("trajectory", trials)
    measured = [row for each, path in paths.items() for row in _measured(job, trials[each], path, scorers, aims)]
    settings = {trial.variant: trial for trial in reversed(spec.trials)}
    variants = list(dict.fromkeys(trial.variant for trial in spec.trials))
    utility = mean([_utility(scorers[run], aims[1], path / TABLE) for run, path in originals.items()])
    table = compare_trials(pd.DataFrame(measured, columns=[*MEASURED, *spec.rule.criteria]), variants, utility, spec.rule)
    table.to_parquet(job.out / "trials.parquet", index=False)
    if table[list(spec.rule.criteria)].isna().all(axis=None):
        raise Diverged("no trial has a finite score")

    selected = table[table["selected"]].iloc[0]
    epoch, trial = int(selected["epoch"]), settings[selected["variant"]]
    selection = {
        "variant": trial.variant,
        "epoch": epoch,
        "training": spelled(trial.training) | {"stop_epoch": epoch},
        "loss": trial.loss,
        "eligible": bool(selected["eligible"]),
        "reason": explain_selection(table, spec.rule),
    }
    (job.out / "selection.json").write_text(json.dumps(selection, indent=1) + "\n", encoding="utf-8")


def _measured(
    job: Job[Spec], trial: Trial, path: Path, scorers: Mapping[str, Scorer], aims: tuple[Aim, Aim]
) -> Iterator[dict[str, Any]]:
    """Yield the two scores of a trial by epoch; after a divergence, yield the remaining epochs without scores.

    So every mean over runs includes the diverged trial.
    """
    if trial.run not in scorers:
        raise UserError(f"spec: trials: {trial.variant}: {trial.run} is not among the runs")
    identity = {"variant": trial.variant, "run": trial.run}
    trajectory = Measured(identity, path, "trajectory", [job.spec.suite])
    reached = 0
    for table in trajectory.tables().values():
        for epoch, scores in scorers[trial.run].scores(table, {aim.metric for aim in aims}):
            yield identity | {"epoch": epoch} | {aim.name: aim.value(scores) for aim in aims}
            reached = epoch or 0
    if trajectory.diverged:
        job.remark(Remark(FACT, f"trial {trial.variant}, {trial.run}: {trajectory.diverged}"))
        yield from (identity | {"epoch": epoch} for epoch in range(reached + 1, trial.training.last_epoch + 1))


def _utility(scorer: Scorer, utility: Aim, path: Path) -> float:
    """Return the utility of an Original; raises UserError if its evaluation lacks the score."""
    if not path.exists():
        raise UserError(f"{path}: missing, but a selection needs Original's {utility.label}")
    ((_, scores),) = scorer.scores(path, {utility.metric})
    if utility.metric not in scores:
        raise UserError(f"{path}: no {utility.label}, which a selection needs")
    return utility.value(scores)


if __name__ == "__main__":
    run_stage("select", Spec, work)
