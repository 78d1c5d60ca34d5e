"""Statistics over seeds: closed forms of small samples, and what holds for any."""

import itertools
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, wilcoxon

from palimpsest.metrics.intervals import bootstrap_interval
from palimpsest.metrics.seeds import compare_pairs
from palimpsest.metrics.spread import mean, sd

VALUES = st.floats(0, 1)
SAMPLES = st.lists(VALUES, min_size=2, max_size=8)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_mean_and_sd_are_those_of_a_sample() -> None:
    assert mean([1, 2, 6]) == 3
    assert sd([1, 2, 6]) == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert sd([0.1] * 5) == 0
    assert mean([0.1] * 3) == 0.1
    assert mean([0.5]) == 0.5 and math.isnan(sd([0.5]))
    assert math.isnan(mean([])) and math.isnan(sd([]))


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_seed_without_a_number_leaves_none(broken: float) -> None:
    assert math.isnan(mean([0.5, broken])) and math.isnan(sd([0.5, broken]))
    assert all(map(math.isnan, bootstrap_interval([0.5, 0.6, broken])))
    difference, interval, p_value, higher = compare_pairs([0.5, 0.6, broken], [0.1, 0.2, 0.3])
    assert all(map(math.isnan, (difference, *interval, p_value)))
    assert higher == (3 if broken == math.inf else 2)


def test_a_lone_seed_has_no_interval_and_decides_nothing() -> None:
    assert all(map(math.isnan, bootstrap_interval([0.5])))
    assert compare_pairs([0.7], [0.5]).p_value == 1
    assert math.isnan(compare_pairs([], []).p_value)


def test_the_interval_of_two_values_ends_at_them() -> None:
    """Of the four equally likely draws one in four is twice the low value, and one twice the high: far more than 2.5 %."""
    assert bootstrap_interval([0.2, 0.8]) == (0.2, 0.8)


def test_the_interval_of_three_values_is_that_of_their_27_draws() -> None:
    """1 in 27 draws, 3.7 %, is thrice the lowest value: more than 2.5 %, as at the other end."""
    assert bootstrap_interval([0.0, 0.1, 0.9]) == pytest.approx((0.0, 0.9))


def test_the_interval_of_five_values_has_the_quantiles_of_all_3125_draws() -> None:
    values = [0.1, 0.2, 0.4, 0.7, 0.8]
    means = np.mean(list(itertools.product(values, repeat=5)), axis=1)
    exact = np.quantile(means, [0.025, 0.975])
    # 9,999 draws of them: four standard errors of a quantile, its density taken from the normal curve of the mean.
    error = math.sqrt(0.025 * 0.975 / 9999) / norm.pdf(norm.ppf(0.025)) * np.std(means)
    assert bootstrap_interval(values) == pytest.approx(exact, abs=4 * error)


@settings(deadline=None, max_examples=25)
@given(SAMPLES)
def test_the_interval_holds_the_mean_and_knows_no_order(values: list[float]) -> None:
    low, high = bootstrap_interval(values)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12
    assert bootstrap_interval(values[::-1]) == (low, high)
    if len(set(values)) == 1:
        assert (low, high) == (values[0], values[0])


@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 8])
def test_if_one_is_higher_in_every_seed_only_two_of_all_signs_are_as_far_apart(seeds: int) -> None:
    first = [0.5 + 0.01 * seed for seed in range(seeds)]
    compared = compare_pairs(first, [0.3] * seeds)
    assert compared.p_value == pytest.approx(min(1, 2 / 2**seeds))
    assert compared.higher == seeds
    assert compared.difference == pytest.approx(0.2 + 0.005 * (seeds - 1))


def test_the_least_p_value_of_five_seeds_is_a_sixteenth() -> None:
    assert compare_pairs([0.9] * 5, [0.1] * 5).p_value == 0.0625


def test_methods_that_are_alike_are_not_told_apart() -> None:
    compared = compare_pairs([0.3, 0.5, 0.7], [0.3, 0.5, 0.7])
    assert compared == (0.0, (0.0, 0.0), 1.0, 0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=7))
def test_the_p_value_is_the_share_of_signs_that_give_as_much(tenths: list[int]) -> None:
    """Counted here in whole numbers; two-sided is twice the smaller tail, which by symmetry is one tail."""
    sums = [
        sum(sign * x for sign, x in zip(signs, tenths, strict=True)) for signs in itertools.product((1, -1), repeat=len(tenths))
    ]
    expected = min(1.0, 2 * np.mean([total >= abs(sum(tenths)) for total in sums]))
    compared = compare_pairs([x / 8 for x in tenths], [0.0] * len(tenths))

    assert compared.p_value == pytest.approx(expected)
    mirrored = compare_pairs([0.0] * len(tenths), [x / 8 for x in tenths])
    assert mirrored.p_value == compared.p_value
    assert mirrored.difference == -compared.difference
    assert compared.higher == sum(x > 0 for x in tenths)


def test_ranks_as_differences_give_wilcoxons_test() -> None:
    """The signed-rank test is this one on ranks."""
    ranks = [1, -2, 3, 4, 5, 6, -7, 8]
    assert compare_pairs(ranks, [0] * 8).p_value == pytest.approx(wilcoxon(ranks, method="exact").pvalue)


def test_many_seeds_take_drawn_signs_and_the_same_each_time() -> None:
    values = [((7 * seed) % 20 - 8) / 20 for seed in range(20)]
    first = compare_pairs(values, [0.0] * 20)
    # For 20 differences of like size the mean's sign-flip distribution is nearly normal.
    z = abs(sum(values)) / math.sqrt(sum(x * x for x in values))
    assert first.p_value == pytest.approx(2 * norm.sf(z), abs=0.02)
    assert compare_pairs(values, [0.0] * 20) == first


def test_pairs_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare_pairs([0.1, 0.2], [0.1])
