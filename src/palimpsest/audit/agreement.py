"""Whether two versions of an artefact agree: in their bytes, in their numbers, or statistically."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd

from palimpsest.names import Agreement
from palimpsest.provenance.manifest import MANIFEST, read_manifest

Numbers = np.ndarray[Any, np.dtype[np.float64]]
# Relative and absolute tolerance of a number.
NUMERIC = (1e-3, 1e-5)
# Relative difference of weights by norm, of adapters, which are only what training changes, and of the means of a column by its
# standard deviation.
WEIGHTS, ADAPTERS, MEANS = 0.02, 0.25, 0.25
# Columns that follow from the likeliest token, where rounding may change it: compared by their means.
CHOSEN_BY_TOKEN = ("generation", "answer_hits", "hits")


@dataclass(frozen=True)
class Disagreement:
    """A file in which two versions differ by more than their class allows."""

    file: str
    reason: str


def compare_folders(first: Path, second: Path, agreed: Agreement) -> Iterator[Disagreement]:
    """Yield the files of two versions that differ by more than their class allows."""
    one, other = (read_manifest(folder / MANIFEST)["files"] for folder in (first, second))
    for name in sorted(one.keys() ^ other.keys()):
        yield Disagreement(name, f"only in the {'first' if name in one else 'second'}")
    for name in sorted(one.keys() & other.keys()):
        if one[name]["sha256"] != other[name]["sha256"]:
            reason = _difference(first / name, second / name, agreed)
            if reason:
                yield Disagreement(name, reason)


def _difference(one: Path, other: Path, agreed: Agreement) -> str | None:
    if agreed == "bitwise":
        return "other bytes"
    if not one.is_file():
        return "other bytes, and its weights were pruned"
    if one.suffix == ".safetensors":
        return _weights(one, other, agreed)
    tables = [_table(path) for path in (one, other)]
    if tables[0] is None or tables[1] is None:
        return "other bytes, and it holds no numbers"
    return _tables(tables[0], tables[1], agreed)


def _table(path: Path) -> pd.DataFrame | None:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path)
    if path.suffix in (".json", ".jsonl"):
        text = path.read_text(encoding="utf-8")
        values = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else [json.loads(text)]
        return pd.json_normalize(values)
    return None


def _tables(one: pd.DataFrame, other: pd.DataFrame, agreed: Agreement) -> str | None:
    if one.shape != other.shape or list(one.columns) != list(other.columns):
        return f"{one.shape[0]} rows of {one.shape[1]} columns against {other.shape[0]} of {other.shape[1]}"
    for name in one.columns:
        a, b = one[name], other[name]
        if _is_numeric(a) and _is_numeric(b):
            reason = _numbers(_flat(a), _flat(b), "statistical" if name in CHOSEN_BY_TOKEN else agreed)
            if reason:
                return f"{name}: {reason}"
        elif name not in CHOSEN_BY_TOKEN and a.astype(str).tolist() != b.astype(str).tolist():
            return f"{name}: other values"
    return None


def _numbers(a: Numbers, b: Numbers, agreed: Agreement) -> str | None:
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        return "numbers in other places"
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    if a.size == 0:
        return None
    relative, absolute = NUMERIC
    if agreed == "numeric":
        worst = float(np.max(np.abs(a - b)))
        return None if np.allclose(a, b, rtol=relative, atol=absolute) else f"numbers differ by up to {worst:.3g}"
    distance, spread = abs(float(a.mean() - b.mean())), float(a.std())
    allowed = MEANS * spread + relative * abs(float(a.mean())) + absolute
    return None if distance <= allowed else f"means differ by {distance:.3g}, {allowed:.3g} is allowed"


def _weights(one: Path, other: Path, agreed: Agreement) -> str | None:
    from safetensors import safe_open

    # NumPy has no bf16.
    with safe_open(one, framework="pt") as first, safe_open(other, framework="pt") as second:
        names = sorted(first.keys())
        if names != sorted(second.keys()) or any(_shape(first, name) != _shape(second, name) for name in names):
            return "other tensors"
        apart = size = np.float64(0)
        for name in names:
            a, b = (file.get_tensor(name).double().numpy().ravel() for file in (first, second))
            if agreed == "numeric" and (reason := _numbers(a, b, agreed)):
                return f"{name}: {reason}"
            apart, size = apart + np.sum((a - b) ** 2), size + np.sum(a**2)
    distance = float(np.sqrt(apart / size))
    allowed = ADAPTERS if all("lora_" in name for name in names) else WEIGHTS
    return None if agreed == "numeric" or distance <= allowed else f"weights differ by {distance:.2%} of their size"


def _shape(file: Any, name: str) -> list[int]:
    shape: list[int] = file.get_slice(name).get_shape()
    return shape


def _is_numeric(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(column):
        return True
    lists = column.dropna().map(_are_numbers)
    return bool(len(lists)) and bool(lists.all())


def _are_numbers(values: object) -> bool:
    """Return whether a value is a list of numbers, of a Parquet table or of JSON."""
    kinds = (int, float, np.number, np.bool_, NoneType)
    return isinstance(values, list | np.ndarray) and all(isinstance(value, kinds) for value in values)


def _flat(column: "pd.Series[Any]") -> Numbers:
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.concatenate([np.asarray(value, dtype=np.float64).ravel() for value in column.dropna()])
