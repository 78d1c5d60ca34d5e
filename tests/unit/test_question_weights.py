"""Gradient weights: Pearson's r and the shorter half's share against closed cases, and sentences that follow the numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from question_example import answered, evidence, methods, settings, weights
from report_example import block, numbers

from palimpsest.report.questions import weights as question
from palimpsest.report.questions.weights import correlation

TOKENS = [10, 20, 30, 40]
EQUAL = [1.0, 1.0, 1.0, 1.0]
FALLING, RISING = [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]


def case(tmp_path, *rows, **changes):
    listed = [row for of in rows for row in of]
    return evidence(tmp_path, numbers({}), block(**({"methods": methods("npo", "simnpo")} | changes)), weights=listed)


def said(tmp_path, *rows):
    return " ".join(answered(question.answer, case(tmp_path, *rows)).findings)


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
    found = answered(
        question.answer,
        case(tmp_path, weights("simnpo", 1, TOKENS, FALLING), weights("simnpo", 1, TOKENS, [8.0, 6.0, 4.0, 2.0], seed=1)),
    )
    rows = found.numbers.set_index(["method", "epoch", "seed"])
    assert rows.loc[("simnpo", 1, 0), ["answers", "mean", "median", "share_shorter_half"]].tolist() == [4, 2.5, 2.5, 0.7]
    assert rows.loc[("simnpo", 1, 1), "mean"] == 5
    assert "the shorter half of the answers gets 70% in epoch 1 (r = -1.00) (mean over 2 seeds)" in found.findings[1]


def test_the_shorter_half_goes_by_tokens_then_id(tmp_path):
    found = answered(question.answer, case(tmp_path, weights("npo", 1, [9, 9, 5, 9], [1.0, 2.0, 4.0, 8.0])))
    assert found.numbers["share_shorter_half"].tolist() == [pytest.approx(5 / 15)]


def test_r_is_the_mean_of_the_seeds_and_points_are_means(tmp_path):
    rows = [weights("simnpo", 1, TOKENS, RISING), weights("simnpo", 1, TOKENS, [40.0, 30.0, 20.0, 10.0], seed=1)]
    found = answered(question.answer, case(tmp_path, *rows))
    assert "(r = +0.00)" in found.findings[1]
    (points,) = found.figure.subfigs[0].axes[0].lines
    assert list(zip(*points.get_data(), strict=True)) == [(10, 20.5), (20, 16), (30, 11.5), (40, 7)]


def test_the_first_the_middle_and_the_last_epoch_are_shown(tmp_path):
    rows = [weights(method, epoch, TOKENS, FALLING) for method in ("npo", "simnpo") for epoch in range(1, 11)]
    found = answered(question.answer, case(tmp_path, *rows))
    titles = [axes.get_title(loc="left") for axes in found.figure.subfigs[0].axes]
    assert titles == ["Epoch 1", "Epoch 5", "Epoch 10", "Over the epochs"] * 2
    assert found.table["Epoch"].tolist() == ["1", "5", "10"] * 2
    assert len(found.numbers) == 20


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (EQUAL, "As in the paper, NPO's weights are uniform at first: in epoch 1 nine in ten are 1, in the only seed"),
        (
            [0.95, 1.0, 1.0, 1.05],
            "As in the paper, NPO's weights are uniform at first: in epoch 1 nine in ten lie between 0.958 and 1.04",
        ),
        ([0.5, 1.0, 1.0, 1.0], "Unlike in the paper, NPO's weights are not uniform at first"),
        ([0.5] * 4, "Unlike in the paper, NPO's weights are not uniform at first"),
    ],
)
def test_whether_npo_begins_uniform(tmp_path, first, text):
    assert text in said(tmp_path, weights("npo", 1, TOKENS, first))


def test_one_uneven_seed_is_enough_not_to_be_uniform(tmp_path):
    rows = [weights("npo", 1, TOKENS, EQUAL), weights("npo", 1, TOKENS, RISING, seed=1)]
    assert "Unlike in the paper, NPO's weights are not uniform at first" in said(tmp_path, *rows)


@pytest.mark.parametrize(
    ("last", "text"),
    [
        (
            [1e-30] * 4,
            "As in the paper, NPO's weights collapse together: from epoch 1 to 2 the median is multiplied by 1e-30, the",
        ),
        ([0.01, 0.01, 0.01, 1.0], "NPO's weights collapse, but unlike in the paper not together"),
        (
            [0.5] * 4,
            "Unlike in the paper, NPO's weights do not collapse: from epoch 1 to 2 the median is multiplied by 0.5, the",
        ),
        ([0.0] * 4, "As in the paper, NPO's weights collapse together"),
    ],
)
def test_whether_npo_collapses(tmp_path, last, text):
    assert text in said(tmp_path, weights("npo", 1, TOKENS, EQUAL), weights("npo", 2, TOKENS, last))


def test_weights_of_zero_from_the_first_epoch_on(tmp_path):
    rows = [weights("npo", epoch, TOKENS, [0.0] * 4) for epoch in (1, 2)]
    assert "Most of NPO's weights are 0 from epoch 1 on." in said(tmp_path, *rows)


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (FALLING, FALLING, "As in the paper, SimNPO favours short answers in epochs 1 and 2, in the only seed."),
        (RISING, RISING, "Unlike in the paper, SimNPO favours long answers in epochs 1 and 2, in"),
        (FALLING, RISING, "Unlike in the paper, SimNPO favours short answers in epoch 1 and long answers in epoch 2, in the"),
        (EQUAL, EQUAL, "Whether SimNPO favours short answers is left open: it favours neither in epochs 1 and 2."),
    ],
)
def test_whom_simnpo_favours(tmp_path, first, last, text):
    assert text in said(tmp_path, weights("simnpo", 1, TOKENS, first), weights("simnpo", 2, TOKENS, last))


def test_seeds_that_disagree_favour_nobody(tmp_path):
    rows = [weights("simnpo", 1, TOKENS, FALLING), weights("simnpo", 1, TOKENS, RISING, seed=1)]
    assert "favours neither in all seeds in epoch 1" in said(tmp_path, *rows)


def test_an_odd_number_of_equal_weights_favours_nobody(tmp_path):
    assert "favours neither" in said(tmp_path, weights("simnpo", 1, [10, 20, 30], [0.1] * 3))


def test_a_model_of_another_start_or_method_is_not_shown(tmp_path):
    variants = {"default": settings(), "weak": settings(start="original-half")}
    rows = [
        weights("npo", 1, TOKENS, EQUAL),
        weights("npo", 1, TOKENS, FALLING, variant="weak"),
        weights("graddiff", 1, TOKENS, EQUAL),
    ]
    found = answered(question.answer, case(tmp_path, *rows, methods={"npo": variants} | methods("graddiff")))
    assert set(zip(found.numbers["method"], found.numbers["variant"], strict=True)) == {("npo", "default")}


def test_two_blocks_have_rows_of_panels_each(tmp_path):
    rows = [weights("npo", 1, TOKENS, EQUAL), weights("npo", 1, TOKENS, FALLING, split="forget10")]
    listed = [row for of in rows for row in of]
    blocks = [block(methods=methods("npo")), block(methods=methods("npo"), split="forget10")]
    found = answered(question.answer, evidence(tmp_path, numbers({}), *blocks, weights=listed))
    assert [part.get_suptitle() for part in found.figure.subfigs] == ["tofu / forget05 / tiny", "tofu / forget10 / tiny"]
    assert "tofu / forget10 / tiny: Unlike in the paper, NPO's weights are not uniform" in " ".join(found.findings)


def test_no_answer_without_weights(tmp_path):
    assert question.answer(case(tmp_path)) is None
