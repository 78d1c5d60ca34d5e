"""Gradient weights: Pearson's r and the shorter half's share against closed cases, and verdicts that follow them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_example import answered, evidence, judged, methods, panels, settings, weights
from report_example import block, numbers

from palimpsest.report.questions.weights import correlation, watched

TOKENS = [10, 20, 30, 40]
EQUAL = [1.0, 1.0, 1.0, 1.0]
FALLING, RISING = [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]
SEEDS = range(5)


def case(tmp_path, *rows, **changes):
    listed = [row for of in rows for row in of]
    return evidence(tmp_path, numbers({}), block(**({"methods": methods("npo", "simnpo")} | changes)), weights=listed)


def verdict(tmp_path, claim, method, *epochs):
    """The verdict on weights that are the same in five seeds, epoch by epoch."""
    rows = [weights(method, epoch, TOKENS, of, seed) for seed in SEEDS for epoch, of in enumerate(epochs, 1)]
    (found,) = judged("weights", case(tmp_path, *rows))[claim]
    return found.word


def test_r_is_pearsons():
    # Deviations (-1, 0, 1) and (-4, -1, 5)/3: their product is 3, their squares 2 and 42/9.
    assert correlation(np.array([1, 2, 3]), np.array([1.0, 2.0, 4.0])) == pytest.approx(3 / math.sqrt(2 * 42 / 9))
    assert correlation(np.array(TOKENS), np.array(FALLING)) == pytest.approx(-1)


@given(st.integers(-30, 30))
def test_r_does_not_depend_on_the_scale_of_the_weights(exponent):
    lengths, values = np.array([3, 9, 4, 20, 11]), np.array([0.5, 1.5, 0.2, 0.9, 1.1])
    assert correlation(lengths, values * 10.0**exponent) == pytest.approx(correlation(lengths, values))


@pytest.mark.parametrize(
    ("lengths", "values"),
    [
        (TOKENS, EQUAL),
        (TOKENS, [1.0, 1.0 + 1e-7, 1.0 + 2e-7, 1.0 + 3e-7]),
        (TOKENS, [0.0] * 4),
        (TOKENS, [1e-30] * 4),
        ([7] * 4, RISING),
    ],
)
def test_there_is_no_r_of_what_does_not_vary(lengths, values):
    assert math.isnan(correlation(np.array(lengths), np.array(values)))


def test_numbers_are_those_of_hand(tmp_path):
    of = case(tmp_path, weights("simnpo", 1, TOKENS, FALLING), weights("simnpo", 1, TOKENS, [8.0, 6.0, 4.0, 2.0], seed=1))
    found = answered("weights", of)
    rows = found.numbers.set_index(["method", "epoch", "seed"])
    assert rows.loc[("simnpo", 1, 0), ["answers", "mean", "median", "share_shorter_half"]].tolist() == [4, 2.5, 2.5, 0.7]
    assert rows.loc[("simnpo", 1, 1), "mean"] == 5
    assert found.table["On the shorter half"].tolist() == ["70% ± 0%"]


def test_the_shorter_half_goes_by_tokens_then_id(tmp_path):
    found = answered("weights", case(tmp_path, weights("npo", 1, [9, 9, 5, 9], [1.0, 2.0, 4.0, 8.0])))
    assert found.numbers["share_shorter_half"].tolist() == [pytest.approx(5 / 15)]


def test_points_are_means_over_seeds(tmp_path):
    rows = [weights("simnpo", 1, TOKENS, RISING), weights("simnpo", 1, TOKENS, [40.0, 30.0, 20.0, 10.0], seed=1)]
    panel = panels(answered("weights", case(tmp_path, *rows)))["Epoch 1"]
    assert list(zip(panel.data["x"], panel.data["y"], strict=True)) == [(10, 20.5), (20, 16), (30, 11.5), (40, 7)]
    assert panel.note == "r = +0.00"


def test_the_epochs_of_the_paper_and_the_last_are_shown(tmp_path):
    rows = [weights("npo", epoch, TOKENS, FALLING) for epoch in range(1, 11)]
    found = answered("weights", case(tmp_path, *rows))
    assert list(panels(found)) == ["Epoch 1", "Epoch 2", "Epoch 3", "Epoch 10", "Over the epochs"]
    assert found.table["Epoch"].tolist() == ["1", "2", "3", "10"]
    assert len(found.numbers) == 10


@pytest.mark.parametrize(
    ("first", "word"),
    [(EQUAL, "holds"), ([0.95, 1.0, 1.0, 1.05], "holds"), ([0.5, 1.0, 1.0, 1.0], "does not hold"), ([0.5] * 4, "does not hold")],
)
def test_whether_npo_begins_uniform(tmp_path, first, word):
    assert verdict(tmp_path, "NPO's weights are uniform in the first epoch", "npo", first) == word


@pytest.mark.parametrize(
    ("late", "word"),
    # Weights that become small together tell no answers apart, which is what the paper claims of them.
    [(FALLING, "holds"), ([1e-3 * weight for weight in FALLING], "holds"), ([1e-3] * 4, "undecided"), (RISING, "does not hold")],
)
def test_which_answers_npo_favours_later(tmp_path, late, word):
    assert verdict(tmp_path, "NPO's weights favour short answers only later", "npo", EQUAL, EQUAL, late) == word


@pytest.mark.parametrize(
    ("early", "word"),
    [(FALLING, "holds"), (RISING, "does not hold"), (EQUAL, "undecided")],
)
def test_which_answers_simnpo_favours_early(tmp_path, early, word):
    # What comes after the first two epochs is another claim.
    assert verdict(tmp_path, "SimNPO favours short answers early", "simnpo", early, early, RISING) == word


@pytest.mark.parametrize(("late", "word"), [(EQUAL, "holds"), ([40.0, 1.0, 1.0, 1.0], "does not hold")])
def test_whether_the_weights_of_simnpo_become_uniform(tmp_path, late, word):
    assert verdict(tmp_path, "SimNPO's weights become uniform later", "simnpo", FALLING, FALLING, late) == word


def test_an_odd_number_of_equal_weights_favours_no_half(tmp_path):
    rows = [weights("simnpo", 1, [10, 20, 30], [0.1] * 3, seed) for seed in SEEDS]
    (found,) = judged("weights", case(tmp_path, *rows))["SimNPO favours short answers early"]
    assert found.word == "undecided"


def test_a_model_of_another_start_or_method_is_not_shown(tmp_path):
    variants = {"default": settings(), "weak": settings(start="original-half")}
    rows = [
        weights("npo", 1, TOKENS, EQUAL),
        weights("npo", 1, TOKENS, FALLING, variant="weak"),
        weights("graddiff", 1, TOKENS, EQUAL),
    ]
    found = answered("weights", case(tmp_path, *rows, methods={"npo": variants} | methods("graddiff")))
    assert set(zip(found.numbers["method"], found.numbers["variant"], strict=True)) == {("npo", "default")}


def test_no_answer_without_weights(tmp_path):
    assert list(watched(case(tmp_path))) == []
