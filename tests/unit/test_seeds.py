"""Statistics over seeds: closed forms of small samples, and what holds for any."""

import itertools
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from palimpsest.metrics.intervals import bootstrap_interval
from palimpsest.metrics.power import ks_power
from palimpsest.metrics.seeds import compare_pairs, holm, visible_difference
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
    difference, interval, *p_values, higher = compare_pairs([0.5, 0.6, broken], [0.1, 0.2, 0.3])
    assert all(map(math.isnan, (difference, *interval, *p_values)))
    assert higher == (3 if broken == math.inf else 2)


def test_a_lone_seed_has_no_interval_and_decides_nothing() -> None:
    assert all(map(math.isnan, bootstrap_interval([0.5])))
    assert math.isnan(compare_pairs([0.7], [0.5]).p_higher)
    assert math.isnan(compare_pairs([], []).p_higher)


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


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=8))
def test_the_p_values_are_those_of_the_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    differences = np.array(first) - np.array(second)
    compared = compare_pairs(first, second)
    assert compared.difference == pytest.approx(differences.mean(), abs=1e-12)
    assert compared.higher == int((differences > 0).sum())
    mirrored = compare_pairs(second, first)
    assert (mirrored.p_higher, mirrored.p_lower) == pytest.approx((compared.p_lower, compared.p_higher))
    spread = differences.std(ddof=1)
    if spread < 1e-9:
        return
    # Student's formula: t = mean / (sd / sqrt(n)) with n - 1 degrees of freedom.
    statistic = differences.mean() / (spread / math.sqrt(len(pairs)))
    assert compared.p_higher == pytest.approx(student.sf(statistic, len(pairs) - 1), rel=1e-6, abs=1e-12)
    half = student.ppf(0.975, len(pairs) - 1) * spread / math.sqrt(len(pairs))
    assert compared.interval == pytest.approx((differences.mean() - half, differences.mean() + half), rel=1e-6, abs=1e-12)


def test_by_hand() -> None:
    """Differences 1, 2 and 3 give t = 2 sqrt(3); the tail of two degrees of freedom is 1/2 - t / (2 sqrt(2 + t^2))."""
    t = 2 * math.sqrt(3)
    assert compare_pairs([2, 3, 4], [1, 1, 1]).p_higher == pytest.approx(0.5 - t / (2 * math.sqrt(2 + t * t)))


def test_methods_that_are_alike_are_not_told_apart() -> None:
    assert compare_pairs([0.3, 0.5, 0.7], [0.3, 0.5, 0.7]) == (0.0, (0.0, 0.0), 1.0, 1.0, 0)


def test_a_difference_that_is_the_same_in_every_seed_is_no_luck() -> None:
    assert compare_pairs([0.5, 0.75], [0.25, 0.5]) == (0.25, (0.25, 0.25), 0.0, 1.0, 2)


def test_holm_by_hand() -> None:
    # In order 0.005, 0.01, 0.03 and 0.04, times 4, 3, 2 and 1, and never less than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_holm_corrects_at_most_as_much_as_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= q <= min(1, p * len(p_values)) + 1e-12 for p, q in zip(p_values, corrected, strict=True))
    assert [p for _, p in sorted(zip(p_values, corrected, strict=True))] == sorted(corrected)


@pytest.mark.parametrize("seeds", [5, 6, 10])
def test_the_difference_that_a_number_of_seeds_shows_is_seen_that_often(seeds: int) -> None:
    effect = visible_difference(seeds, 0.05, 0.8)
    drawn = np.random.default_rng(0).normal(effect, 1, (4000, seeds))
    t = drawn.mean(axis=1) / drawn.std(axis=1, ddof=1) * math.sqrt(seeds)
    assert np.mean(student.sf(t, seeds - 1) <= 0.05) == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 4000))
    assert math.isnan(visible_difference(1, 0.05, 0.8))


@pytest.mark.parametrize(("items", "power"), [(20, 0.20), (40, 0.37), (200, 0.98)])
def test_the_power_of_forget_quality(items: int, power: float) -> None:
    """An independent simulation of half an sd; 4,000 and 2,000 draws."""
    assert ks_power(items, 0.5, 0.05) == pytest.approx(power, abs=0.03)
    assert ks_power(items, 0.0, 0.05) <= 0.05 + 0.015


def test_pairs_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare_pairs([0.1, 0.2], [0.1])
