"""Sentences and numbers: what is said of a difference between seeds, and how it is written."""

import pandas as pd
import pytest

from palimpsest.report.words import (
    PaperClaim,
    against_paper,
    format_range,
    format_score,
    format_sd,
    joined,
    table_of,
    under_titles,
    verdict,
)


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


@pytest.mark.parametrize(
    ("signs", "text"),
    [
        ([("a", 1)], "This run supports the paper's claim that a."),
        ([("a", 1), ("b", 1)], "This run supports the paper's claims that a and that b."),
        ([("a", -1), ("b", 1)], "This run supports the paper's claim that b and contradicts its claim that a."),
        ([("a", 1), ("a", 0)], "This run leaves open the paper's claim that a."),
        ([("a", 1), ("a", -1), ("b", -1)], "This run contradicts the paper's claim that b and leaves open its claim that a."),
    ],
)
def test_a_claim_holds_where_all_that_test_it_bear_it_out(signs, text):
    assert verdict(signs) == text


@pytest.mark.parametrize(("differences", "sign"), [([1.0, 2.0], 1), ([-1.0, -2.0], -1), ([1.0, -1.0], 0), ([1.0], 0), ([], 0)])
def test_one_seed_is_neither_for_a_claim_nor_against_it(differences, sign):
    claim = PaperClaim("a", "b", pd.Series(differences, dtype=float), "1 to 2")
    assert claim.sign == sign
    undone = claim._replace(but="neither forgot")
    assert (undone.sign, undone.sentence) == (0, "Whether a is left open: 1 to 2, but neither forgot.")


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("verbmem_f", 20.75, "20.8"),
        ("knowmem_r", 0.0, "0.0"),
        ("privleak", 72.93, "+72.9"),
        ("privleak_published", -99.81, "-99.8"),
        ("privleak", -0.03, "0.0"),
        ("auc_min_k", 0.4772, "0.477"),
    ],
)
def test_scores_of_texts_are_percentages_and_privleak_has_a_sign(metric, value, text):
    assert format_score(metric, value) == text
    assert format_sd("privleak", 72.93, 2.91) == "2.9"
