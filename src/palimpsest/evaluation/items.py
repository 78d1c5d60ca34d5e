"""Item tables as parquet files. Each kind of suite declares its schema, so column types do not depend on the data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from palimpsest.errors import UserError

# The file in the folder of a suite, a trajectory or an attack.
TABLE = "items.parquet"
# Further files of a trajectory: the mean KL(start || model) per token of a set, and the gradient weight of each item.
DIVERGENCE_TABLE, WEIGHTS_TABLE = "divergence.parquet", "weights.parquet"
DIVERGENCE = pa.schema([("epoch", pa.int64()), ("set", pa.string()), ("kl", pa.float64())])
# A further file of an evaluation: a prompt with its answer in pieces, in order; special tokens are pieces of their own.
PROMPT_TABLE = "prompt.parquet"
PROMPT = pa.schema([("text", pa.string()), ("special", pa.bool_()), ("label", pa.bool_())])
WEIGHTS = pa.schema([("epoch", pa.int64()), ("id", pa.string()), ("tokens", pa.int64()), ("weight", pa.float64())])
# The column with the kind of words by which ROUGE compares an answer (`metrics.rouge`).
ROUGE_WORDS = "rouge_words"
# The formula of the metrics that count them.
UNICODE_ITEMS = "number of answers that `rouge_score` cannot read; missing if it reads all"
# A number of each token of an item. Losses are computed in single precision, so that none is rounded.
NUMBERS, FLAGS = pa.list_(pa.float32()), pa.list_(pa.bool_())


def keyed(schema: pa.Schema, *keys: str) -> pa.Schema:
    """Return the schema of several item tables in one, distinguished by integer keys: `epoch`, or `draw` and `epoch`."""
    return pa.schema([*((key, pa.int64()) for key in keys), *schema])


def write_table(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows as a parquet table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a parquet table."""
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def read_frame(path: Path) -> pd.DataFrame:
    """Read a parquet table; raises UserError if the file is not one."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from None


def derived(
    table: pd.DataFrame, names: Sequence[str], results: Sequence[str], compute: Callable[..., Sequence[Any]]
) -> pd.DataFrame:
    """Return a table with the columns `results`, which `compute` returns for each row from its values of the columns `names`.

    Rows without one of these values have no result. A table without one of these columns stays as it is, and a column that a
    table has already is kept: it is complete, or of an earlier version.
    """
    if not set(names) <= set(table) or set(results) <= set(table):
        return table
    known = table[list(names)].notna().all(axis=1)
    found = [compute(*values) for values in table.loc[known, list(names)].itertuples(index=False)]
    columns = pd.DataFrame(found, index=table.index[known], columns=list(results)).reindex(table.index)
    return table.assign(**{name: columns[name] for name in results if name not in table})


def count_unicode(frame: pd.DataFrame) -> int:
    """Return the number of rows whose answer ROUGE does not compare by the words of `rouge_score`."""
    return int(frame[ROUGE_WORDS].isin(["unicode", "characters"]).sum()) if ROUGE_WORDS in frame else 0
