"""Results of single items as lm-eval's `--log_samples` writes them: `samples_TASK_DATE.jsonl` in a folder per model.

A task is a suite and one of its sets, such as `tofu_forget`. The date is when the evaluation started, so that a second export
has the same names and bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.benchmarks.suites import SETTINGS, load
from palimpsest.errors import UserError
from palimpsest.evaluation.items import TABLE, read_frame
from palimpsest.evaluation.metric import Scoring
from palimpsest.export.models import Model, Results, start_of
from palimpsest.provenance.canonical import sha256_text

GENERATION = "generation"
UNDATED = "0001-01-01T00-00-00"


def write_samples(results: Results, out: Path) -> None:
    """Write the items of every evaluated model; lm-eval's own tasks are left out, because their items are not kept."""
    for model in results.models:
        for name, samples in _tasks(results, model):
            # As lm-eval names the folder of a model.
            path = out / re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model.name) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (json.dumps(sample, ensure_ascii=False, allow_nan=False) for sample in samples)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if not out.exists():
        raise UserError(f"{results.folder}: no suite of this study keeps its items")


def _tasks(results: Results, model: Model) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the file name and the samples of each suite and set."""
    for suite, evaluation in model.evaluations.items():
        started = start_of(evaluation)
        date = started.strftime("%Y-%m-%dT%H-%M-%S") if started else UNDATED
        path = evaluation.folder / TABLE
        # A model that diverged has no table.
        table = read_frame(path) if path.exists() else pd.DataFrame()
        if not {"set", "id"} <= set(table):
            continue
        table = _completed(results, suite, table)
        for name, rows in table.groupby("set", sort=True):
            yield (
                f"samples_{suite}_{name}_{date}.jsonl",
                [_sample(number, row) for number, row in enumerate(rows.drop(columns="set").to_dict("records"))],
            )


def _completed(results: Results, suite: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a suite with ROUGE and whatever else the scores compute of each item."""
    kind = results.kind("suites", suite)
    scoring: Scoring[Any] = load(kind, "scores").SCORING
    settings = SETTINGS[kind].model_validate({"kind": kind, **results.config.get("suites", {}).get(suite, {})}).scoring_settings
    return scoring.complete(table, **settings)


def _sample(number: int, read: Mapping[Hashable, Any]) -> dict[str, Any]:
    row = {str(key): _plain(value) for key, value in read.items()}
    doc = {key: value for key, value in row.items() if isinstance(value, str) and key != GENERATION}
    metrics = {key: value for key, value in row.items() if isinstance(value, int | float | list)}
    prompt, target, said = (row.get(name) or "" for name in ("question", "answer", GENERATION))
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": {"gen_args_0": {"arg_0": prompt}},
        "resps": [[said]],
        "filtered_resps": [said],
        "filter": "none",
        "metrics": [*metrics],
        "doc_hash": sha256_text(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": sha256_text(prompt),
        "target_hash": sha256_text(target),
        **metrics,
    }


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it; None for a number that is missing or not finite."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)) else None
