"""The scores of an lm-eval suite: lm-eval's numbers, named `TASK/METRIC`."""

from collections.abc import Mapping

import pandas as pd

from palimpsest.evaluation.metric import Metric, Scoring


def read(table: pd.DataFrame, source: object) -> Mapping[str, float]:
    """Return the number of each task and metric."""
    return {f"{task}/{metric}": float(value) for task, metric, value in table.itertuples(index=False)}


METRICS = (
    Metric(
        "",
        lambda numbers: numbers,
        suffixes=("TASK/METRIC",),
        formula="what lm-eval reports for a task, such as the accuracy `acc`",
        source="lm-evaluation-harness",
    ),
)
SCORING = Scoring[Mapping[str, float]](read=read, metrics=METRICS)
