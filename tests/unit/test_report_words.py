"""Sentences and numbers: what is said of a difference between seeds, and how it is written."""

import pandas as pd
import pytest

from palimpsest.reporting.words import against_paper, format_range, joined, table_of, under_titles


@pytest.mark.parametrize(
    ("differences", "text"),
    [
        ([0.1, 0.2, 0.1], "As in the paper, up: 1 to 2, in all 3 seeds."),
        ([-0.1, -0.2], "Unlike in the paper, down: 1 to 2, in both seeds."),
        ([0.3, -0.1, 0.2], "Whether up is left open: 1 to 2; it holds in 2 of 3 seeds, within their spread."),
        ([0.3, 0.0], "Whether up is left open: 1 to 2; it holds in 1 of 2 seeds, within their spread."),
        ([0.0, 0.0], "Whether up is left open: 1 to 2, no difference in any seed."),
        ([0.0], "Whether up is left open: 1 to 2, no difference in the only seed."),
        ([0.1], "Whether up is left open by one seed, in which it holds: 1 to 2."),
        ([-0.1], "Whether up is left open by one seed, in which it does not: 1 to 2."),
        ([], "Whether up is left open: no seed has both numbers."),
    ],
)
def test_the_paper_is_agreed_with_only_by_all_seeds(differences, text):
    assert against_paper(pd.Series(differences, dtype=float), "up", "down", "1 to 2") == text


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


def test_a_range_stands_behind_a_mean_of_several_seeds():
    write = "{:+z.2f}".format
    assert format_range(pd.Series([-0.001]), write) == "+0.00"
    assert format_range(pd.Series([0.1, 0.4]), write) == "+0.25 (+0.10 to +0.40)"
    assert format_range(pd.Series(dtype=float), write, "none") == "none"
