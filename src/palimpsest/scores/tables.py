"""What stands behind a run's numbers: truth ratios, gradient weights, examples and the trail to the artefacts."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from palimpsest.metrics.truth_ratio import truth_ratio
from palimpsest.provenance.canonical import sha256_file
from palimpsest.provenance.manifest import MANIFEST
from palimpsest.scores.artefacts import Artefact, Evaluation, Trajectory
from palimpsest.scores.columns import ARTEFACT_COLUMNS, EXAMPLE_COLUMNS, TRUTH_RATIO_COLUMNS, WEIGHT_COLUMNS, stack

EXAMPLES_PER_SET = 4


def truth_ratios(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the truth ratio of every item of every finished model, with `TRUTH_RATIO_COLUMNS`."""
    parts = [_ratios(each, suite).assign(**each.identity, suite=suite) for each in evaluations for suite in each.tables]
    return stack(parts, TRUTH_RATIO_COLUMNS)


def weights(trajectories: Sequence[Trajectory]) -> pd.DataFrame:
    """Return the gradient weight of every forget item in every epoch of every trajectory, with `WEIGHT_COLUMNS`."""
    return stack([each.weights().assign(**each.identity) for each in trajectories], WEIGHT_COLUMNS)


def examples(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return what the models say to a few forget and retain questions, the same for all, with `EXAMPLE_COLUMNS`.

    They are of the suite that most models have; a model without it shows nothing.
    """
    counts = Counter(suite for each in evaluations for suite in each.tables)
    suite = min(counts, key=lambda name: (-counts[name], name), default="")
    tables = [(each.identity, each.tables[suite]) for each in evaluations if suite in each.tables]
    chosen = []
    for name in ("forget", "retain"):
        asked = [set(table.loc[table["set"] == name, "id"]) for _, table in tables]
        chosen += _spread(set.intersection(*asked)) if asked else []
    parts = [table[table["id"].isin(chosen)].sort_values(["set", "id"]).assign(**identity) for identity, table in tables]
    return stack(parts, EXAMPLE_COLUMNS)


def artefact_paths(artefacts: Sequence[Artefact], root: Path) -> pd.DataFrame:
    """Return where each number lies, relative to the results root, with the hash of its manifest and `ARTEFACT_COLUMNS`."""
    rows = [
        {"attack": ""}
        | each.identity
        | {
            "manifest": Path(os.path.relpath(each.directory, root), MANIFEST).as_posix(),
            "sha256": sha256_file(each.directory / MANIFEST),
        }
        for each in artefacts
    ]
    return stack([pd.DataFrame(rows, columns=ARTEFACT_COLUMNS)], ARTEFACT_COLUMNS)


def _ratios(evaluation: Evaluation, suite: str) -> pd.DataFrame:
    table = evaluation.tables[suite]
    sets = [
        table.loc[table["set"] == name, ["set", "id", "half", "answer_tokens"]].assign(
            truth_ratio=truth_ratio(items.log_truth_ratio)
        )
        for name, items in evaluation.sets[suite].items()
    ]
    return pd.concat(sets)


def _spread(ids: set[str]) -> list[str]:
    """Return a few ids, evenly apart in their order."""
    ordered = sorted(ids)
    count = min(EXAMPLES_PER_SET, len(ordered))
    return [ordered[place * len(ordered) // count] for place in range(count)]
