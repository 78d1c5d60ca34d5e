"""Stage `external`: an evaluation log that others made, kept with where it is from and the numbers that it gives here."""

import json
import math
from pathlib import Path
from typing import ClassVar

import pandas as pd

from palimpsest.errors import Diverged, UserError
from palimpsest.metrics.forget_quality import ForgetQuality
from palimpsest.metrics.tofu import Items
from palimpsest.scores.artefacts import Evaluation
from palimpsest.scores.columns import COLUMNS, stack
from palimpsest.scores.imported import ORIGIN, LogFiles, describe_doubts, describe_log, judge_by_log, log_scores, take_log
from palimpsest.scores.numbers import tidy_scores
from palimpsest.settings import Settings
from palimpsest.stages.contract import Job, run_stage


class Place(Settings):
    """Where it stands: the run beside whose models it is shown, and the suite."""

    benchmark: str
    split: str
    model: str
    seed: int
    suite: str


class Spec(Settings):
    """What is imported; without a log of `retrain` the run's own Retrain is an input."""

    takes_diverged: ClassVar[bool] = True

    name: str
    place: Place
    source: str
    log: LogFiles
    retrain: LogFiles | None


def work(job: Job[Spec]) -> None:
    """Keep the log, say what it is, and write its numbers."""
    spec, path = job.spec, Path(job.spec.log.path)
    log = take_log(spec.log, job.out / "log")
    if "forget" not in log.sets:
        raise UserError(f"{path}: no forget set: {log.missing['forget']}")
    described = {"name": spec.name, **spec.place.model_dump(), "origin": ORIGIN, "source": spec.source}
    described |= {"log": describe_log(log, job.out / "log"), "retrain": None}
    reference: Items | Diverged
    if spec.retrain:
        retrain = take_log(spec.retrain, job.out / "retrain")
        quality = judge_by_log(log.sets["forget"], path, retrain, Path(spec.retrain.path))
        reference = retrain.sets["forget"]
        described["retrain"] = describe_log(retrain, job.out / "retrain")
    else:
        own = Evaluation({"method": "retrain", "variant": ""}, job.input("retrain"))
        if own.diverged:
            quality, reference = ForgetQuality(math.nan, math.nan), own.diverged
        else:
            quality, reference = own.judge(log.sets["forget"], spec.place.suite, path), own.forget_set(spec.place.suite)
    described |= describe_doubts(log, reference)
    place = spec.place.model_dump() | {"method": spec.name, "variant": "", "attack": "", "epoch": None}
    rows = list(tidy_scores(place, log_scores(log, quality)))
    stack([pd.DataFrame(rows, columns=COLUMNS)], COLUMNS).to_parquet(job.out / "scores.parquet", index=False)
    text = json.dumps(described, indent=1, ensure_ascii=True) + "\n"
    (job.out / "provenance.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_stage("external", Spec, work)
