"""How numbers are written."""

import pandas as pd
import pytest

from palimpsest.report.words import MINUS, format_score, format_sd, joined, signed, table_of, under_titles, with_sd


def test_words():
    assert [joined(parts) for parts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert under_titles([("x", "One."), ("x", "Two.")]) == ["One.", "Two."]
    assert under_titles([("x", "One."), ("y", "Two.")]) == ["x: One.", "y: Two."]


def test_a_table_names_its_blocks_only_where_there_are_several():
    row = {"Method": "NPO"}
    assert table_of([("x", row), ("x", row)]).columns.tolist() == ["Method"]
    assert table_of([("x", row), ("y", row | {"More": "1"})]).to_dict("list") == {
        "Block": ["x", "y"],
        "Method": ["NPO", "NPO"],
        "More": ["", "1"],
    }


def test_an_sd_stands_behind_a_mean_of_several_seeds():
    assert with_sd(pd.Series([-0.001]), write=signed) == "+0.00"
    assert with_sd(pd.Series([0.1, 0.3]), "model_utility") == "0.200 ± 0.141"
    assert with_sd(pd.Series([1e-6, 3e-6]), "forget_quality") == f"2.0e{MINUS}06 ± 1.4e{MINUS}06"
    assert with_sd(pd.Series([-0.1, -0.3]), write=signed) == f"{MINUS}0.20 ± 0.14"
    assert with_sd(pd.Series([0.024, 0.026]), "forget_quality") == "0.025 ± 0.001"
    # What is left of equal numbers is rounding.
    assert with_sd(pd.Series([0.3, 0.1 + 0.2]), write="{:.1e}".format) == "3.0e-01 ± 0.0e+00"
    assert with_sd(pd.Series(dtype=float)) == ""


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("verbmem_f", 20.75, "20.8"),
        ("knowmem_r", 0.0, "0.0"),
        ("privleak", 72.93, "+72.9"),
        ("privleak_published", -99.81, f"{MINUS}99.8"),
        ("privleak", -0.03, "0.0"),
        ("auc_min_k", 0.4772, "0.477"),
        ("forget_quality", 6.6e-6, f"6.6e{MINUS}06"),
        ("forget_quality_epoch_1", 0.0, "0"),
    ],
)
def test_scores_are_written_by_what_they_are(metric, value, text):
    assert format_score(metric, value) == text
    assert format_sd("privleak", 72.93, 2.91) == "2.9"
