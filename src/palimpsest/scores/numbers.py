"""Every number of a run in tidy rows."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.errors import UserError
from palimpsest.metrics.muse import MuseItems, muse_intervals, muse_scores
from palimpsest.metrics.probability import answer_probability
from palimpsest.metrics.tofu import tofu_scores
from palimpsest.metrics.truth_ratio import forget_truth_ratio
from palimpsest.scores.artefacts import Evaluation, Scores, Trajectory
from palimpsest.scores.attacks import Attack
from palimpsest.scores.columns import COLUMNS, stack
from palimpsest.scores.parts import forget_parts

Place = dict[str, Any]


@dataclass(frozen=True)
class Measurements:
    """All that was measured of a run, and the Retrains of the runs that differ from it in their seed alone.

    `shared_retrain` is that of a run of texts, which all splits share, and `published_auc` that of a Retrain in print. `absent`
    are the models, by method and variant, whose evaluation diverged or could not be made.
    """

    evaluations: Sequence[Evaluation]
    attacks: Sequence[Attack] = ()
    trajectories: Sequence[Trajectory] = ()
    other_retrains: Sequence[Evaluation] = ()
    shared_retrain: Evaluation | None = None
    published_auc: float | None = None
    absent: Collection[tuple[str, str]] = ()

    @cached_property
    def retrain(self) -> Evaluation | None:
        """The run's Retrain, None where it is absent; raises UserError where it was not evaluated."""
        return self.shared_retrain or self.evaluation("retrain", "")

    def evaluation(self, method: str, variant: str) -> Evaluation | None:
        """Return the evaluation of a model, None where it is absent; raises UserError where there is none."""
        for each in self.evaluations:
            if each.model == (method, variant):
                return each
        if (method, variant) in self.absent:
            return None
        raise UserError(f"{method}{variant and f'/{variant}'}: not among the evaluations, and a number of this run needs it")


def measure(run: Measurements) -> list[tuple[Place, Scores]]:
    """Return the scores of each suite of each model: finished, attacked, and after the epochs of a trajectory.

    Raises UserError where the run's Retrain was not evaluated or was asked other questions; where it is absent, what is read off
    it is missing.
    """
    return [*_finished(run), *_attacked(run), *_watched(run)]


def tidy_numbers(measured: Iterable[tuple[Place, Scores]]) -> pd.DataFrame:
    """Return one row a number, with `COLUMNS`; a number that is not defined has no row."""
    rows = [row for each in measured for row in tidy_scores(*each)]
    return stack([pd.DataFrame(rows, columns=COLUMNS)], COLUMNS)


def tidy_scores(place: Place, scores: Scores) -> Iterator[dict[str, Any]]:
    """Yield a row a number that is one, in the place that it is of."""
    for metric, value in scores.items():
        if math.isfinite(value):
            yield place | {"metric": metric, "value": value}


def _finished(run: Measurements) -> Iterator[tuple[Place, Scores]]:
    """Yield the scores of each suite of each finished model."""
    for each in run.evaluations:
        place = each.identity | {"attack": "", "epoch": None}
        for suite in each.tables:
            yield place | {"suite": suite}, _suite_scores(run, each, suite)
        for suite, items in each.muse.items():
            yield place | {"suite": suite}, _muse_scores(run, items, suite, each.muse_source(suite))
        for suite, scores in each.tasks.items():
            yield place | {"suite": suite}, scores


def _attacked(run: Measurements) -> Iterator[tuple[Place, Scores]]:
    """Yield the scores of each attack after each epoch, by the suites that judge the attacked model too."""
    for attack in run.attacks:
        judged, retrain = run.evaluation(*attack.model), run.retrain
        if judged is None or retrain is None:
            continue
        for suite in judged.tables:
            for epoch, scores in attack.scores(suite, retrain):
                yield attack.identity | {"epoch": epoch, "suite": suite}, scores


def _watched(run: Measurements) -> Iterator[tuple[Place, Scores]]:
    """Yield the scores of each trajectory after each epoch, and how far the model has moved by then."""
    for trajectory in run.trajectories:
        place = trajectory.identity | {"attack": ""}
        divergences = dict(trajectory.divergences())
        for epoch, scores in _epochs(run, trajectory):
            yield place | {"epoch": epoch}, scores | divergences.get(epoch, {})


def _epochs(run: Measurements, trajectory: Trajectory) -> Iterator[tuple[int, Scores]]:
    if not trajectory.is_muse:
        return trajectory.scores(run.retrain) if run.retrain else iter(())
    suite, source = trajectory.suite, trajectory.muse_source
    return ((epoch, _muse_scores(run, items, suite, source)) for epoch, items in trajectory.muse())


def _suite_scores(run: Measurements, model: Evaluation, suite: str) -> Scores:
    """Return the scores of one model on one suite: on all sets, against Retrain, and on parts of the forget set."""
    scores = tofu_scores(model.sets[suite])
    forget, source, retrain = model.forget_set(suite), model.source(suite), run.retrain
    if retrain:
        quality = retrain.judge(forget, suite, source)
        scores |= {"forget_quality": quality.p_value, "ks_statistic": quality.statistic}
    others = [other for other in run.other_retrains if suite in other.tables]
    if model is retrain and others:
        # What the luck of the seed alone leaves of forget quality: no method can be asked for more.
        scores["forget_quality_floor"] = float(np.mean([other.judge(forget, suite, source).p_value for other in others]))
    rows = model.forget_rows(suite)
    for metric in ("exact_memorisation", "extraction_strength"):
        scores[f"forget_{metric}"] = float(rows[metric].mean(skipna=False))
    for name, ids in forget_parts(rows).items():
        part = model.forget_part(suite, ids)
        if retrain:
            scores[f"forget_quality_{name}"] = retrain.judge(part, suite, source, ids).p_value
        scores |= {
            f"forget_probability_{name}": answer_probability(part.answer),
            f"forget_truth_ratio_{name}": forget_truth_ratio(part.log_truth_ratio),
        }
    return scores


def _muse_scores(run: Measurements, items: MuseItems, suite: str, source: Path) -> Scores:
    """Return the scores of one model on one MUSE suite with their intervals."""
    retrain = run.retrain.muse_beside(items, suite, source) if run.retrain else None
    return muse_scores(items, retrain, run.published_auc) | muse_intervals(items, retrain, run.published_auc)
