"""Per-item logs as parquet tables whose columns have the same types whatever is in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# The per-item log of a TOFU suite or of an attack, in its folder, and that of a MUSE suite.
TABLE, MUSE_TABLE = "items.parquet", "muse.parquet"
ROUGE_WORDS = "rouge_words"
LOSSES = [
    ("id", pa.string()),
    ("question", pa.string()),
    ("answer", pa.string()),
    ("answer_nll", pa.float64()),
    ("answer_tokens", pa.int64()),
    ("paraphrased_nll", pa.float64()),
    ("paraphrased_tokens", pa.int64()),
    ("perturbed_nll", pa.list_(pa.float64())),
    ("perturbed_tokens", pa.list_(pa.int64())),
]
ITEMS = pa.schema(
    [
        ("set", pa.string()),
        # Of the forget set, in its order: 1 or 2; null elsewhere.
        ("half", pa.int64()),
        *LOSSES,
        ("generation", pa.string()),
        # Whose words ROUGE compares: "rouge_score", "unicode" or "characters" (`metrics.rouge`).
        (ROUGE_WORDS, pa.string()),
        ("rouge_1_recall", pa.float64()),
        ("rouge_l_recall", pa.float64()),
        ("exact_memorisation", pa.float64()),
        ("extraction_strength", pa.float64()),
    ]
)
# Of what is said the texts and ROUGE, in [0, 1]; of a text that is read its labels and their Min-K loss, in nats.
MUSE = pa.schema(
    [
        ("set", pa.string()),
        ("id", pa.string()),
        ("prompt", pa.string()),
        ("answer", pa.string()),
        ("generation", pa.string()),
        (ROUGE_WORDS, pa.string()),
        ("rouge_l_f", pa.float64()),
        ("tokens", pa.int64()),
        ("min_k_loss", pa.float64()),
    ]
)
# What a trajectory has beside its items: the mean KL(start || model) a token of a set, and each item's gradient weight.
DIVERGENCE_TABLE, WEIGHTS_TABLE = "divergence.parquet", "weights.parquet"
TRAJECTORY = pa.schema([("epoch", pa.int64()), *ITEMS])
MUSE_TRAJECTORY = pa.schema([("epoch", pa.int64()), *MUSE])
DIVERGENCE = pa.schema([("epoch", pa.int64()), ("set", pa.string()), ("kl", pa.float64())])
WEIGHTS = pa.schema([("epoch", pa.int64()), ("id", pa.string()), ("tokens", pa.int64()), ("weight", pa.float64())])
ATTACKED = pa.schema([("draw", pa.int64()), ("epoch", pa.int64()), *LOSSES])


def write_table(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as one parquet table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a parquet table."""
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
