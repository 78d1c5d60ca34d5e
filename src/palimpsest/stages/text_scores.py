"""Stage `text_scores`: all numbers of one run of a benchmark of texts, in the form of `scores`."""

from typing import Annotated

from pydantic import Field

from palimpsest.scores.artefacts import Evaluation
from palimpsest.stages import scores
from palimpsest.stages.contract import Job, run_stage


class Spec(scores.Spec):
    """What `scores` reads, and the AUC that was published for a Retrain, where there is one."""

    retrain_auc: Annotated[float, Field(gt=0, le=1)] | None


def work(job: Job[Spec]) -> None:
    """Write the tables of the run; the input `retrain` is the Retrain that the splits share, of which WMDP has none."""
    retrain = Evaluation({"method": "retrain", "variant": ""}, job.input("retrain")) if "retrain" in job.inputs else None
    scores.write(job, shared_retrain=retrain, published_auc=job.spec.retrain_auc)


if __name__ == "__main__":
    run_stage("text_scores", Spec, work)
