"""Small summaries, written out number by number, and specs to report them with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from palimpsest.names import ROLES
from palimpsest.report.evidence import Evidence
from palimpsest.report.rows import clean_summary, finished
from palimpsest.report.study import Block, Published, ReportSpec
from palimpsest.report.summary import SELECTION_TYPES
from palimpsest.report.tables import Table
from palimpsest.scores.columns import (
    ARTEFACT_COLUMNS,
    COLUMNS,
    EXAMPLE_COLUMNS,
    IDENTITY,
    LOSS_COLUMNS,
    PROMPT_COLUMNS,
    SAMPLE_COLUMNS,
    TRUTH_RATIO_COLUMNS,
    WEIGHT_COLUMNS,
    stack,
    stack_samples,
)
from palimpsest.scores.remarks import as_table

Metrics = dict[str, float]
UNLEARN = {"training": {"learning_rate": 1e-5, "epochs": 10, "forget_weight": 1.0}, "loss": {}}
# What a study says of a selected variant, and of how it was selected.
SELECTED: dict[str, Any] = {"training": {}, "loss": {}, "start": "original", "reference": "plain"}
SELECTION: dict[str, Any] = {
    **{"maximise": "forget_quality", "keep": 0.95, "epochs": "all", "seeds": [0], "suite": "tofu"},
    **{"benchmarks": [], "split": None, "trials": {}},
}
# By method (and variant), then seed: nothing here is meant to look real, all of it to be easy to compute with.
PLAIN: dict[str, dict[int, Metrics]] = {
    "original": {
        0: {"forget_quality": 1e-20, "model_utility": 0.60, "forget_probability": 0.95},
        1: {"forget_quality": 3e-20, "model_utility": 0.62, "forget_probability": 0.97},
    },
    "retrain": {
        0: {"forget_quality": 1.0, "model_utility": 0.61, "forget_probability": 0.15, "forget_quality_floor": 0.9},
        1: {"forget_quality": 1.0, "model_utility": 0.61, "forget_probability": 0.17, "forget_quality_floor": 0.8},
    },
    "ga": {
        0: {"forget_quality": 0.0, "model_utility": 0.0, "forget_probability": 0.0},
        1: {"forget_quality": 0.0, "model_utility": 0.0, "forget_probability": 0.0},
    },
    "npo": {
        0: {"forget_quality": 0.6, "model_utility": 0.50, "forget_probability": 0.10},
        1: {"forget_quality": 0.8, "model_utility": 0.54, "forget_probability": 0.12},
    },
    "simnpo": {
        0: {"forget_quality": 0.4, "model_utility": 0.55, "forget_probability": 0.20},
        1: {"forget_quality": 0.5, "model_utility": 0.57, "forget_probability": 0.22},
    },
}
# By model, then seed: the metrics before unlearning and after each epoch of it.
WATCHED: dict[str, dict[int, list[Metrics]]] = {
    method: {
        seed: [
            {"forget_quality": quality, "model_utility": utility + seed / 100, "kl_forget": kl, "kl_retain": kl / 4}
            for quality, utility, kl in epochs
        ]
        for seed in (0, 1)
    }
    for method, epochs in {
        "npo": [(1e-20, 0.6, 0.0), (1e-3, 0.4, 0.8), (0.7, 0.5, 1.2)],
        "simnpo": [(1e-20, 0.6, 0.0), (0.1, 0.57, 0.3), (0.4, 0.56, 0.6)],
    }.items()
}
# By epoch, then seed: forget quality, its sd over draws, forget probability.
RELEARNED = {0: {0: (0.6, 0.1, 0.10), 1: (0.8, 0.1, 0.12)}, 1: {0: (0.01, 0.02, 0.30), 1: (0.03, 0.04, 0.40)}}


def numbers(models: dict[str, dict[int, Metrics]], suite: str = "tofu", split: str = "forget05") -> list[dict[str, Any]]:
    """Rows of a tidy summary; "simnpo/beta-1" is a variant."""
    rows = []
    for name, by_seed in models.items():
        method, _, variant = name.partition("/")
        variant = variant or ("" if method in ROLES else "default")
        for seed, metrics in by_seed.items():
            key = {"benchmark": "tofu", "split": split, "model": "tiny", "seed": seed, "method": method, "variant": variant}
            place = {"attack": "", "epoch": None, "suite": suite}
            rows += [key | place | {"metric": metric, "value": value} for metric, value in metrics.items()]
    return rows


def attacked(method: str = "npo", attack: str = "relearn-random") -> list[dict[str, Any]]:
    """Rows of an attack on one method."""
    rows = []
    for epoch, by_seed in RELEARNED.items():
        for seed, values in by_seed.items():
            place = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seed": seed}
            place |= {"method": method, "variant": "default"}
            for metric, value in zip(("forget_quality", "forget_quality_sd", "forget_probability"), values, strict=True):
                rows.append(place | {"attack": attack, "epoch": epoch, "suite": "tofu", "metric": metric, "value": value})
    return rows


def watched(models: dict[str, dict[int, list[Metrics]]], suite: str = "tofu") -> list[dict[str, Any]]:
    """Rows of trajectories: by model, then seed, the metrics after each epoch, the first of them before training."""
    rows = []
    for epoch in range(max(len(epochs) for by_seed in models.values() for epochs in by_seed.values())):
        at_epoch = {
            name: {seed: epochs[epoch] for seed, epochs in by_seed.items() if epoch < len(epochs)}
            for name, by_seed in models.items()
        }
        rows += [row | {"epoch": epoch} for row in numbers(at_epoch, suite=suite)]
    return rows


def weighed(method: str, weight: float = 1.0, epochs: int = 2) -> list[dict[str, Any]]:
    """Gradient weights of four answers of 5, 6, 7 and 8 tokens in both seeds, which fall as the answers grow and by epoch."""
    place = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "method": method, "variant": "default"}
    return [
        place | {"seed": seed, "epoch": epoch, "id": str(item), "tokens": 5 + item, "weight": weight / epoch / (5 + item)}
        for seed in (0, 1)
        for epoch in range(1, epochs + 1)
        for item in range(4)
    ]


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The tidy summary as the stage writes it."""
    return stack([pd.DataFrame(rows, columns=COLUMNS)], COLUMNS)


def clean(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The tidy summary as the tables read it."""
    return clean_summary(frame(rows))


def block(**changes: Any) -> Block:
    """A block that ran all of PLAIN."""
    methods = {method: {"default": UNLEARN} for method in PLAIN if method not in ROLES}
    plain = {"benchmark": "tofu", "split": "forget05", "model": "tiny", "seeds": [0, 1], "training": {"epochs": 5}}
    return Block.model_validate(plain | {"methods": methods, "attacks": [], "suites": ["tofu"]} | changes)


def published_by(values: dict[str, Any] | None) -> dict[str, list[Published]]:
    """The values as published by one source: by place, then method, then metric."""
    return {place: [Published(source="a paper", scores=scores)] for place, scores in (values or {}).items()}


def spec(*blocks: Block, published: dict[str, Any] | None = None, **study: Any) -> ReportSpec:
    """A spec of a report on these blocks."""
    names: dict[str, Any] = {"name": "demo", "description": "A study.", "data": {}, "models": {}, "attacks": {}}
    names["suites"] = {"tofu": {"kind": "tofu"}, "muse": {"kind": "muse"}}
    shown = [each.model_dump() for each in blocks or [block()]]
    return ReportSpec.model_validate({"study": names | study | {"blocks": shown}, "published": published_by(published)})


def told(rows: list[dict[str, Any]], *blocks: Block, published: dict[str, Any] | None = None, **study: Any) -> Evidence:
    """Evidence of these rows of the tidy summary, without files."""
    of = Evidence(spec(*blocks, **study).study, Path(), published_by(published))
    vars(of).update(results=clean(rows).assign(folder=""), imported=[], remarks=as_table([]))
    return of


def best_of(table: Table) -> set[tuple[str, str]]:
    """The cells of a table that are marked as the best, by label and column."""
    return {(row.label, column.key) for column in table.columns for row in table.best(column)}


def published_of(table: Table) -> dict[tuple[str, str], float | None]:
    """The published values that a table prints, by label and column."""
    found = {(row.label, column.key): table.published_of(row, column.key) for row in table.rows for column in table.columns}
    return {key: value for key, value in found.items() if value is not None}


def write_summary(
    folder: Path,
    rows: list[dict[str, Any]],
    *,
    answer: str = "An answer.",
    question: str = "Who wrote it?",
    label: str = "The label.",
    weights: Sequence[dict[str, Any]] = (),
    losses: Sequence[dict[str, Any]] = (),
    selections: Sequence[dict[str, Any]] = (),
    remarks: Sequence[dict[str, Any]] = (),
) -> Path:
    """Write a summary artefact with two truth ratios and one example a finished model."""
    folder.mkdir(parents=True)
    table = frame(rows)
    models = finished(clean_summary(table))[IDENTITY].drop_duplicates().to_dict("records")
    asked = {"suite": "tofu", "set": "forget"}
    ratios = [{"id": str(i), "half": i + 1, "answer_tokens": 5 + i, "truth_ratio": 0.5 + i} for i in (0, 1)]
    said = {"suite": "tofu", "set": "forget", "id": "author-0190-03", "question": question, "answer": label, "generation": answer}
    place = {"attack": "", "suite": "tofu", "manifest": "tofu/x/manifest.json", "sha256": "ab" * 32}
    pieces = [("<s>", True, False), (f"Question: {question}", False, False), (f" {label}", False, True), ("</s>", True, True)]
    readers = [model for model in models if model["method"] == "original" and model["benchmark"] != "markov"]
    seen = [dict(zip(("text", "special", "label"), piece, strict=True)) for piece in pieces]
    tables = {
        "truth_ratios": ([model | asked | ratio for model in models for ratio in ratios], TRUTH_RATIO_COLUMNS),
        "examples": ([model | said for model in models], EXAMPLE_COLUMNS),
        "prompts": ([model | piece for model in readers for piece in seen], PROMPT_COLUMNS),
        "weights": (list(weights), WEIGHT_COLUMNS),
        "losses": (list(losses), LOSS_COLUMNS),
    }
    table.to_parquet(folder / "summary.parquet", index=False)
    samples = pd.DataFrame([model | {"attack": ""} | said for model in models], columns=SAMPLE_COLUMNS)
    stack_samples([samples.assign(probability=0.5)]).to_parquet(folder / "samples.parquet", index=False)
    for name, (records, columns) in tables.items():
        stack([pd.DataFrame(records, columns=columns)], columns).to_parquet(folder / f"{name}.parquet", index=False)
    selected = pd.DataFrame(list(selections), columns=list(SELECTION_TYPES)).astype(SELECTION_TYPES)
    selected.to_parquet(folder / "selections.parquet", index=False)
    as_table(list(remarks)).to_parquet(folder / "remarks.parquet", index=False)
    as_table(list(remarks)).to_csv(folder / "remarks.csv", index=False)
    pd.DataFrame([model | place for model in models], columns=ARTEFACT_COLUMNS).to_csv(folder / "artefacts.csv", index=False)
    return folder
