"""The columns, in order, and their types in the tables of a run's scores and of the summary."""

from collections.abc import Mapping, Sequence

import pandas as pd

IDENTITY = ["benchmark", "split", "model", "seed", "method", "variant"]
COLUMNS = [*IDENTITY, "attack", "epoch", "suite", "metric", "value"]
TRUTH_RATIO_COLUMNS = [*IDENTITY, "suite", "set", "id", "half", "answer_tokens", "truth_ratio"]
ASKED = ["suite", "set", "id", "question", "answer", "generation"]
# The further columns of samples are numbers, which differ between kinds of suites.
SAMPLE_COLUMNS = [*IDENTITY, "attack", *ASKED]
EXAMPLE_COLUMNS = [*IDENTITY, *ASKED]
PROMPT_COLUMNS = [*IDENTITY, "text", "special", "label"]
WEIGHT_COLUMNS = [*IDENTITY, "epoch", "id", "tokens", "weight"]
LOSS_COLUMNS = [*IDENTITY, "suite", "epoch", "id", "tokens", "nll"]
ARTEFACT_COLUMNS = [*IDENTITY, "attack", "suite", "manifest", "sha256"]
REMARK_COLUMNS = [*IDENTITY, "attack", "of", "kind", "text"]
# All other columns contain text.
TYPES = {
    "seed": "int64",
    "epoch": "Int64",
    "value": "float64",
    "half": "Int64",
    "answer_tokens": "int64",
    "truth_ratio": "float64",
    "tokens": "int64",
    "weight": "float64",
    "nll": "float64",
    "special": "bool",
    "label": "bool",
}


def stack_samples(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables of samples; a number that a table lacks is NaN in its rows."""
    numbers = dict.fromkeys(str(name) for part in parts for name in part if name not in SAMPLE_COLUMNS)
    return stack(parts, [*SAMPLE_COLUMNS, *numbers], TYPES | dict.fromkeys(numbers, "float64"))


def stack(parts: Sequence[pd.DataFrame], columns: Sequence[str], types: Mapping[str, str] = TYPES) -> pd.DataFrame:
    """Concatenate tables with these columns, converted to their types (text by default); empty if there are no tables."""
    frame = pd.concat(parts, ignore_index=True)[list(columns)] if parts else pd.DataFrame(columns=list(columns))
    return frame.astype({name: types.get(name, "str") for name in columns})
