"""leak@k by hand, by brute force and by the official code; its interval holds for any distribution."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.metrics.leaks import expected_maximum, leak_at, leak_interval

samples = st.lists(st.floats(0, 1), min_size=1, max_size=7)


@given(samples, st.integers(1, 7))
def test_leak_is_the_mean_maximum_over_all_subsets(scores, k):
    (leak,) = expected_maximum(np.array([scores]), k)
    if k > len(scores):
        assert math.isnan(leak)
    else:
        assert leak == pytest.approx(np.mean([max(of) for of in itertools.combinations(scores, k)]))


@given(samples)
def test_leak_at_1_is_the_mean_and_at_n_the_maximum_and_it_grows(scores):
    leaks = [leak_at(np.array([scores]), k) for k in range(1, len(scores) + 1)]
    assert leaks[0] == pytest.approx(np.mean(scores))
    assert leaks[-1] == pytest.approx(max(scores))
    assert all(more >= less - 1e-12 for less, more in itertools.pairwise(leaks))


@pytest.mark.parametrize(
    ("right", "k", "leak"),
    # `calculate_pass_at_k` of OptimAI-Lab/Leak-k for 200 answers, of which some are entailed.
    [
        (0, 128, 0.0),
        (1, 1, 0.0050000000000000044),
        (1, 128, 0.64),
        (3, 16, 0.22233592203441455),
        (20, 8, 0.5763563876868145),
        (150, 64, 1.0),
    ],
)
def test_leak_of_binary_scores_by_the_official_code(right, k, leak):
    scores = np.zeros((1, 200))
    scores[0, :right] = 1
    assert leak_at(scores, k) == pytest.approx(leak)


def test_the_estimate_has_no_bias():
    values, shares = np.array([0.0, 0.3, 1.0]), np.array([0.5, 0.3, 0.2])
    draws = list(itertools.product(range(3), repeat=4))
    expected = sum(math.prod(shares[list(of)]) * leak_at(values[[list(of)]], 2) for of in draws)
    pairs = itertools.product(range(3), repeat=2)
    assert expected == pytest.approx(sum(shares[a] * shares[b] * max(values[a], values[b]) for a, b in pairs))


def test_the_interval_by_hand():
    scores = np.array([[0.0, 1.0, 0.0, 1.0, 0.5]] * 8)
    # Eight questions with two pairs each.
    reach = math.sqrt(math.log(40) / 32)
    assert leak_interval(scores, 2) == pytest.approx((leak_at(scores, 2) - reach, 1.0))
    assert leak_interval(np.zeros((2000, 50)), 1) == pytest.approx((0.0, math.sqrt(math.log(40) / 200_000)))
    assert all(map(math.isnan, leak_interval(scores, 6)))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("k", [1, 4])
def test_the_interval_holds_in_95_of_100_draws(share, k):
    random, runs = np.random.default_rng(0), 400
    true = 1 - (1 - share) ** k
    intervals = [leak_interval((random.random((5, 8)) < share).astype(float), k) for _ in range(runs)]
    assert np.mean([low <= true <= high for low, high in intervals]) >= 0.95
