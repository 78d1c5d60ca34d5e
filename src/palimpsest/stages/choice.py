"""Stage `choice`: one trial of a method, and the epoch to stop at, by a rule and from trajectories."""

import json
from typing import Annotated, Any, ClassVar

import pandas as pd
from pydantic import Field

from palimpsest.errors import Diverged, UserError
from palimpsest.metrics.muse import muse_scores
from palimpsest.metrics.spread import mean
from palimpsest.metrics.tofu import tofu_scores
from palimpsest.provenance.manifest import FACT, Remark
from palimpsest.scores.artefacts import Evaluation, Scores, Trajectory
from palimpsest.selection.rule import MEASURED, compare_trials, explain_choice
from palimpsest.selection.settings import MUSE, SelectionRule
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage
from palimpsest.training.settings import UnlearnSettings


class Trial(Settings):
    """What a trajectory is of: one variant's settings, which all its seeds share, with one seed."""

    variant: str
    seed: int
    training: UnlearnSettings
    loss: dict[str, Any]


class Spec(Settings):
    """The rule, the suite that judges, and what the inputs are: a trajectory a trial; original and Retrain of each seed."""

    takes_diverged: ClassVar[bool] = True

    rule: SelectionRule
    suite: str
    trials: Annotated[list[Trial], Field(min_length=1)]
    references: Annotated[list[int], Field(min_length=1)]


def work(job: Job[Spec]) -> None:
    """Write the choice, and the table of what it was between."""
    spec = job.spec
    retrains = {seed: Evaluation({"seed": seed}, path) for seed, path in job.each_input("retrain", spec.references)}
    originals = [Evaluation({"seed": seed}, path) for seed, path in job.each_input("original", spec.references)]
    for reference in (*originals, *retrains.values()):
        if reference.diverged:
            raise reference.diverged
    measured: list[dict[str, Any]] = []
    for trial, path in job.each_input("trajectory", spec.trials):
        if trial.seed not in retrains:
            raise UserError(f"spec: trials: {trial.variant}: seed {trial.seed} is not among the references")
        identity = {"variant": trial.variant, "seed": trial.seed}
        trajectory = Trajectory(identity | {"suite": spec.suite}, path)
        if trajectory.diverged:
            job.remark(Remark(FACT, f"trial {trial.variant}, seed {trial.seed}: {trajectory.diverged}"))
        if trajectory.is_watched and trajectory.is_muse != (spec.rule.judged == MUSE):
            raise UserError(f"spec: rule: maximise: {spec.rule.maximise} is no score of {spec.suite}, the suite that judges")
        reached = 0
        for epoch, scores in trajectory.scores(retrains[trial.seed]) if trajectory.is_watched else ():
            measured.append(identity | {"epoch": epoch, **scores} | _privacy(scores))
            reached = epoch
        if trajectory.diverged:
            # Without scores, so that no mean over seeds leaves this one out.
            measured += [identity | {"epoch": epoch} for epoch in range(reached + 1, trial.training.last_epoch + 1)]
    settings = {trial.variant: trial for trial in reversed(spec.trials)}
    variants = list(dict.fromkeys(trial.variant for trial in spec.trials))
    utility = mean([_utility(original, spec.suite, spec.rule) for original in originals])
    table = compare_trials(pd.DataFrame(measured, columns=[*MEASURED, *spec.rule.judged]), variants, utility, spec.rule)
    table.to_parquet(job.out / "trials.parquet", index=False)
    if table[list(spec.rule.judged)].isna().all(axis=None):
        raise Diverged("no trial has a finite score")

    chosen = table[table["chosen"]].iloc[0]
    epoch, trial = int(chosen["epoch"]), settings[chosen["variant"]]
    choice = {
        "variant": trial.variant,
        "epoch": epoch,
        "training": trial.training.model_dump() | {"stop_epoch": epoch},
        "loss": trial.loss,
        "eligible": bool(chosen["eligible"]),
        "reason": explain_choice(table, spec.rule),
    }
    (job.out / "choice.json").write_text(json.dumps(choice, indent=1) + "\n", encoding="utf-8")


def _privacy(scores: Scores) -> Scores:
    """Return PrivLeak without its sign, more of it being worse: over seeds, too little forgotten makes up for no too much."""
    return {"privacy": -abs(scores["privleak"])} if "privleak" in scores else {}


def _utility(original: Evaluation, suite: str, rule: SelectionRule) -> float:
    if rule.judged == MUSE:
        if suite not in original.muse:
            raise UserError(f"{original.muse_source(suite)}: missing, and a choice needs what Original knows")
        return muse_scores(original.muse[suite], original.muse[suite])[rule.judged.utility]
    try:
        return tofu_scores(original.sets[suite])[rule.judged.utility]
    except KeyError:
        raise UserError(f"{original.source(suite)}: no model utility, which a choice needs") from None


if __name__ == "__main__":
    run_stage("choice", Spec, work)
