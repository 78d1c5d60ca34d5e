"""When an answer is half as probable, and the exponent of its length, against closed cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.metrics.speed import epochs_to_half, length_exponent

EPOCHS = np.arange(5.0)
TOKENS = np.array([10.0, 20.0, 40.0, 80.0])


def risen(*by_epoch):
    """NLLs of one answer, given as how far each is above the first in units of log 2."""
    return 3.0 + math.log(2) * np.array([by_epoch], dtype=float).T


@pytest.mark.parametrize(
    ("by_epoch", "expected"),
    [
        ((0, 2, 4, 6, 8), 0.5),
        ((0, 0, 0, 4, 4), 2.25),
        ((0, -1, 1, 0, 5), 2.0),
        # It is the first time that counts, whatever comes later.
        ((0, 4, 0, 0, 0), 0.25),
        ((0, 0.5, 0.9, 0.99, 0.999), math.nan),
        ((0, 0, 0, 0, 0), math.nan),
        ((0, math.nan, 0, 2, 2), 2.5),
    ],
)
def test_the_first_time_at_half_the_probability(by_epoch, expected):
    assert epochs_to_half(EPOCHS, risen(*by_epoch))[0] == pytest.approx(expected, nan_ok=True)


def test_each_answer_has_its_own_time():
    nll = np.hstack([risen(0, 2, 4, 6, 8), risen(0, 0, 0, 0, 0), risen(0, 1, 1, 1, 1)])
    assert epochs_to_half(EPOCHS, nll) == pytest.approx([0.5, math.nan, 1.0], nan_ok=True)


@given(st.floats(-2, 2), st.floats(0.01, 100))
def test_a_power_of_the_length_is_found_at_any_rate(exponent, rate):
    assert length_exponent(TOKENS, 1 / (rate * TOKENS**exponent)) == pytest.approx(exponent, abs=1e-6)


@given(st.floats(0.3, 3))
def test_tokens_that_are_unlearned_one_by_one_give_one_and_normalised_ones_zero(rate):
    # The gradient of NPO sums over tokens; SimNPO divides it by their number.
    for exponent in (1, 0):
        nll = np.outer(EPOCHS, rate * (TOKENS / 10) ** exponent)
        assert length_exponent(TOKENS, epochs_to_half(EPOCHS, nll)) == pytest.approx(exponent, abs=1e-6)


def test_answers_without_a_time_do_not_count():
    assert length_exponent(TOKENS, np.array([1.0, 0.5, math.nan, 0.125])) == pytest.approx(1)


@pytest.mark.parametrize(("tokens", "epochs"), [([10, 20], [1, math.nan]), ([10, 10], [1, 2]), ([10, 20], [math.nan] * 2)])
def test_one_length_has_no_exponent(tokens, epochs):
    assert math.isnan(length_exponent(np.array(tokens, dtype=float), np.array(epochs, dtype=float)))
