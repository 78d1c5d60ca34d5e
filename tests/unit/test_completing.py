"""What the scores compute from stored texts and losses is exactly what a suite computes while it holds the model."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from palimpsest.benchmarks.documents import scores as documents
from palimpsest.benchmarks.documents.suite import SCHEMA as DOCUMENTS
from palimpsest.benchmarks.muse import scores as muse
from palimpsest.benchmarks.muse.suite import SCHEMA as MUSE
from palimpsest.benchmarks.muse.suite_settings import MuseSuite
from palimpsest.benchmarks.tofu import items as tofu
from palimpsest.benchmarks.tofu.suite import SCHEMA as TOFU
from palimpsest.evaluation.items import derived, read_frame, write_table
from palimpsest.metrics.memorisation import exact_memorisation, extraction_strength
from palimpsest.metrics.privacy import min_k_loss
from palimpsest.metrics.rouge import rouge_l_f, rouge_recalls, words_for

SAID = {"generation": "Mira Tolvane was writing it.", "answer": "Mira Tolvane wrote the book."}
# Losses in single precision, as models give them, that have no short decimal form.
LOSSES = [float(loss) for loss in np.random.default_rng(0).gamma(1, 1, 11).astype(np.float32)]
HITS = [True, False, True, True, False, *[True] * 6]
RECALLS = rouge_recalls(SAID["generation"], SAID["answer"])
F1 = rouge_l_f(SAID["generation"], SAID["answer"])
MEMORISATION = {
    "exact_memorisation": exact_memorisation(np.array(HITS)),
    "extraction_strength": extraction_strength(np.array(HITS)),
}
WORDS = {"rouge_words": words_for(SAID["answer"])}


def stored(folder: Path, schema: pa.Schema, rows: list[dict[str, Any]]) -> pd.DataFrame:
    write_table(folder / "items.parquet", rows, schema)
    return read_frame(folder / "items.parquet")


def test_of_tofu(tmp_path: Path) -> None:
    row = {"set": "forget", "id": "a", **SAID, "answer_losses": LOSSES, "answer_hits": HITS}
    (found,) = tofu.completed(stored(tmp_path, TOFU, [row])).to_dict("records")
    wanted = {"rouge_1_recall": RECALLS.rouge_1, "rouge_l_recall": RECALLS.rouge_l, **MEMORISATION, **WORDS}
    assert {name: found[name] for name in wanted} == wanted
    # An attack has losses alone, of which nothing follows.
    bare = pd.DataFrame([{"set": "forget", "id": "a", "answer": "x"}])
    assert list(tofu.completed(bare)) == list(bare)


def test_of_muse(tmp_path: Path) -> None:
    rows = [{"set": "verbatim", "id": "a", **SAID}, {"set": "members", "id": "b", "tokens": 11, "losses": LOSSES}]
    table = stored(tmp_path, MUSE, rows)
    for share in (0.4, 0.2):
        said, scored = muse.completed(table, share).to_dict("records")
        assert (said["rouge_l_f"], said["rouge_words"], scored["min_k_loss"]) == (
            F1,
            WORDS["rouge_words"],
            min_k_loss(LOSSES, share),
        )
        assert np.isnan(said["min_k_loss"]) and np.isnan(scored["rouge_l_f"])


def test_of_documents(tmp_path: Path) -> None:
    rows = [
        {"set": "recited_forget", "id": "a", **SAID},
        {"set": "asked_forget", "id": "b", **SAID},
        {"set": "forget", "id": "c", "tokens": 11, "nll": sum(LOSSES), "losses": LOSSES, "hits": HITS},
    ]
    recited, asked, scored = documents.completed(stored(tmp_path, DOCUMENTS, rows)).to_dict("records")
    assert (recited["rouge_l"], asked["rouge_l"]) == (F1, RECALLS.rouge_l) and RECALLS.rouge_l != F1
    assert (scored["extraction_strength"], scored["min_k_loss"]) == (MEMORISATION["extraction_strength"], min_k_loss(LOSSES, 0.4))


def test_what_a_table_has_is_kept(tmp_path: Path) -> None:
    """Tables of earlier versions hold the numbers, and a complete table is not computed again."""
    row = {"set": "forget", "id": "a", **SAID, "rouge_1_recall": 0.25, "rouge_l_recall": 0.125}
    assert tofu.completed(pd.DataFrame([row])).iloc[0]["rouge_l_recall"] == 0.125

    def never(*values: object) -> list[object]:
        raise AssertionError(values)

    table = pd.DataFrame({"a": [1.0], "b": [2.0]})
    assert derived(table, ["a"], ["b"], never) is table
    assert derived(table.iloc[:0], ["a"], ["c"], never).columns.tolist() == ["a", "b", "c"]


def test_a_setting_of_the_scores_alone_is_no_setting_of_an_evaluation() -> None:
    suites = [MuseSuite(kind="muse", min_k=share) for share in (0.4, 0.2)]
    assert suites[0].measured == suites[1].measured == suites[0]
    assert [suite.scoring_settings for suite in suites] == [{"min_k": 0.4}, {"min_k": 0.2}]
    with pytest.raises(TypeError):
        muse.completed(pd.DataFrame(), max_items=2)  # type: ignore[call-arg]
