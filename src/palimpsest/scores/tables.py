"""What stands behind a run's numbers: truth ratios, gradient weights, examples and the trail to the artefacts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from palimpsest.metrics.truth_ratio import truth_ratio
from palimpsest.provenance.canonical import sha256_file
from palimpsest.provenance.manifest import MANIFEST
from palimpsest.scores.artefacts import Artefact, Evaluation, Trajectory
from palimpsest.scores.columns import ARTEFACT_COLUMNS, EXAMPLE_COLUMNS, TRUTH_RATIO_COLUMNS, WEIGHT_COLUMNS, stack

# How many examples are taken of each set of a suite, and in which set they are shown: what was to be forgotten, or to be kept.
EXAMPLES = {
    "forget": (4, "forget"),
    "retain": (4, "retain"),
    "verbatim": (2, "forget"),
    "knowledge_forget": (2, "forget"),
    "knowledge_retain": (4, "retain"),
}


def write_tables(
    out: Path,
    artefacts: Sequence[Artefact],
    numbers: pd.DataFrame,
    remarks: pd.DataFrame,
    evaluations: Sequence[Evaluation] = (),
    trajectories: Sequence[Trajectory] = (),
) -> None:
    """Write the numbers of a run, the remarks on them, and what stands behind them."""
    artefact_paths(artefacts).to_csv(out / "artefacts.csv", index=False, lineterminator="\n")
    tables = {
        "scores": numbers,
        "remarks": remarks,
        "truth_ratios": truth_ratios(evaluations),
        "examples": examples(evaluations),
        "weights": weights(trajectories),
    }
    for name, table in tables.items():
        table.to_parquet(out / f"{name}.parquet", index=False)


def truth_ratios(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the truth ratio of every item of every finished model, with `TRUTH_RATIO_COLUMNS`."""
    parts = [_ratios(each, suite).assign(**each.identity, suite=suite) for each in evaluations for suite in each.tables]
    return stack(parts, TRUTH_RATIO_COLUMNS)


def weights(trajectories: Sequence[Trajectory]) -> pd.DataFrame:
    """Return the gradient weight of every forget item in every epoch of every trajectory, with `WEIGHT_COLUMNS`."""
    return stack([each.weights().assign(**each.identity) for each in trajectories], WEIGHT_COLUMNS)


def examples(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return what the models say to a few questions on the forget and the retain set, the same for all, with `EXAMPLE_COLUMNS`.

    They are of the suite that most models have; a model without it shows nothing.
    """
    counts = Counter(suite for each in evaluations for suite in each.said)
    suite = min(counts, key=lambda name: (-counts[name], name), default="")
    tables = [(each.identity, each.said[suite]) for each in evaluations if suite in each.said]
    chosen: set[tuple[str, str]] = set()
    for name, (count, _) in EXAMPLES.items():
        asked = [set(table.loc[table["set"] == name, "id"]) for _, table in tables]
        chosen |= {(name, id) for id in _spread(set.intersection(*asked), count)} if asked else set()
    shown_in = {name: shown for name, (_, shown) in EXAMPLES.items()}
    parts = []
    for identity, table in tables:
        rows = table[[item in chosen for item in zip(table["set"], table["id"], strict=True)]].sort_values(["set", "id"])
        parts.append(rows.assign(**identity, set=rows["set"].map(shown_in)))
    return stack(parts, EXAMPLE_COLUMNS)


def artefact_paths(artefacts: Sequence[Artefact]) -> pd.DataFrame:
    """Return where each number lies, relative to the results root, with the hash of its manifest and `ARTEFACT_COLUMNS`."""
    rows = [
        {"attack": ""}
        | each.identity
        | {
            "manifest": (_below_results(each) / MANIFEST).as_posix(),
            "sha256": sha256_file(each.directory / MANIFEST),
        }
        for each in artefacts
    ]
    return stack([pd.DataFrame(rows, columns=ARTEFACT_COLUMNS)], ARTEFACT_COLUMNS)


def _below_results(artefact: Artefact) -> Path:
    """Return an artefact's folder relative to the results, in which it lies below those of its benchmark and model."""
    parts, place = artefact.directory.parts, (artefact.identity["benchmark"], artefact.identity["model"])
    start = max(index for index in range(len(parts)) if parts[index : index + 2] == place)
    return Path(*parts[start:])


def _ratios(evaluation: Evaluation, suite: str) -> pd.DataFrame:
    table = evaluation.tables[suite]
    sets = [
        table.loc[table["set"] == name, ["set", "id", "half", "answer_tokens"]].assign(
            truth_ratio=truth_ratio(items.log_truth_ratio)
        )
        for name, items in evaluation.sets[suite].items()
    ]
    return pd.concat(sets)


def _spread(ids: set[str], most: int) -> list[str]:
    """Return a few ids, evenly apart in their order."""
    ordered = sorted(ids)
    count = min(most, len(ordered))
    return [ordered[place * len(ordered) // count] for place in range(count)]
