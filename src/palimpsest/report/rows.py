"""Which rows of the summary's tables: of a block, of finished models, along trajectories, of attacks, of models that compare."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from palimpsest.metrics.spread import Array
from palimpsest.names import HALF
from palimpsest.report.study import Block

KEY = ["benchmark", "split", "model"]
# What is smaller counts as this, so that its logarithm is finite.
LEAST = 1e-300
NAMES = [*KEY, "method", "variant", "attack", "suite", "metric"]


def clean_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the tidy summary with "" for absent names and without numbers that are none (NaN, infinite)."""
    frame = frame.assign(**{name: frame[name].fillna("").astype(str) for name in NAMES})
    kept: pd.DataFrame = frame.loc[np.isfinite(frame["value"].to_numpy(dtype=float))]
    return kept


def of_block(frame: pd.DataFrame, block: Block) -> pd.DataFrame:
    """Return the rows of one block."""
    return frame[(frame["benchmark"] == block.benchmark) & (frame["split"] == block.split) & (frame["model"] == block.model)]


def of_models(frame: pd.DataFrame, models: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Return the rows of these models, each a method and a variant."""
    wanted = {*models}
    kept = [model in wanted for model in zip(frame["method"], frame["variant"], strict=True)]
    return frame.loc[np.array(kept, dtype=bool)]


def finished(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the tidy summary that are of finished models, neither attacked nor watched while they unlearn."""
    return frame[(frame["attack"] == "") & frame["epoch"].isna()]


def along_trajectories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the tidy summary that were taken after epochs of unlearning."""
    return frame[(frame["attack"] == "") & frame["epoch"].notna()]


def attacked(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the tidy summary that were taken before and after the steps of attacks.

    What suites say of an attacked model has no epoch, and is not among them.
    """
    return frame[(frame["attack"] != "") & frame["epoch"].notna()]


def main_models(frame: pd.DataFrame, block: Block) -> pd.DataFrame:
    """Return the rows of a block's models that compare: neither half the forget set nor an odd reference made them."""
    rows = of_block(frame, block)
    odd = {(method, variant) for method, of in block.methods.items() for variant in {*of} - {*block.variants_of(method)}}
    odd.add((HALF, ""))
    return of_models(rows, {*zip(rows["method"], rows["variant"], strict=True)} - odd)


def log10(values: pd.Series) -> Array:
    """Return log10 of truth ratios or p-values; one that is 0 or infinite in floating point still lies on that side."""
    logs: Array = np.log10(values.to_numpy(dtype=float).clip(LEAST, 1 / LEAST))
    return logs


def root_of_decades(qualities: ArrayLike, lowest: float = LEAST) -> Array:
    """Return forget qualities on the scale of the figures, -sqrt(-log10(p)), which grows like the KS distance.

    What is below `lowest` counts as that.
    """
    roots: Array = -np.sqrt(-np.log10(np.clip(np.asarray(qualities, dtype=float), lowest, 1.0)))
    return roots
