"""Stage `summarise`: tables with the scores of all runs of a study, of imported logs, and of the trials behind its selections."""

import json
from typing import ClassVar

import pandas as pd

from palimpsest.contract.job import Job, run_stage
from palimpsest.report.summary import (
    IMPORTED,
    imported_paths,
    read_artefacts,
    read_imported,
    read_samples,
    read_scores,
    read_selections,
)
from palimpsest.scores.columns import (
    COLUMNS,
    EXAMPLE_COLUMNS,
    LOSS_COLUMNS,
    PROMPT_COLUMNS,
    REMARK_COLUMNS,
    TRUTH_RATIO_COLUMNS,
    WEIGHT_COLUMNS,
)
from palimpsest.scores.remarks import StudyGap, study_remarks
from palimpsest.settings import Settings


class Spec(Settings):
    """The artefacts that could not be made; the ids of the inputs identify their runs, logs and selections."""

    takes_diverged: ClassVar[bool] = True

    gaps: list[StudyGap] = []


def work(job: Job[Spec]) -> None:
    """Write the tidy table and the trials as CSV too, and all tables for the report."""
    scores, external = (list(job.inputs(name).values()) for name in ("scores", "external"))
    results = read_scores([*scores, *external], "scores", COLUMNS)
    artefacts = pd.concat([read_artefacts(scores), imported_paths(external)], ignore_index=True)
    selections = read_selections(job.inputs("selection"))
    remarks = pd.concat([read_scores(scores, "remarks", REMARK_COLUMNS), study_remarks(job.spec.gaps)], ignore_index=True)
    tables = {
        "summary": results,
        "truth_ratios": read_scores(scores, "truth_ratios", TRUTH_RATIO_COLUMNS),
        "samples": read_samples(scores),
        "examples": read_scores(scores, "examples", EXAMPLE_COLUMNS),
        "prompts": read_scores(scores, "prompts", PROMPT_COLUMNS),
        "weights": read_scores(scores, "weights", WEIGHT_COLUMNS),
        "losses": read_scores(scores, "losses", LOSS_COLUMNS),
        "selections": selections,
        "remarks": remarks,
    }
    for name, table in tables.items():
        table.to_parquet(job.out / f"{name}.parquet", index=False)
    for name, table in (("summary", results), ("selections", selections), ("artefacts", artefacts), ("remarks", remarks)):
        table.to_csv(job.out / f"{name}.csv", index=False, lineterminator="\n")
    if external:
        text = json.dumps(read_imported(external), indent=1) + "\n"
        (job.out / IMPORTED).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_stage("summarise", Spec, work)
