"""What losses give away: by hand, in general, and for models whose losses are no numbers."""

import math
import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from muse_example import muse_scores

from palimpsest.benchmarks.muse.scores import MuseItems
from palimpsest.metrics.intervals import bootstrap_interval, resampled_interval
from palimpsest.metrics.privacy import auc_interval, membership_auc, min_k_loss, priv_leak, priv_leak_interval

LOSSES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.5, math.inf]) | st.floats(0, 9), min_size=1, max_size=9)
RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("losses", "share", "expected"),
    [
        # Of 5 tokens 2 are looked at, those with the highest losses: 4 and 3.
        ([1.0, 4.0, 0.5, 3.0, 2.0], 0.4, 3.5),
        ([1.0, 4.0, 0.5, 3.0, 2.0], 1.0, 2.1),
        # int(0.8) would be none at all.
        ([1.0, 4.0], 0.4, 4.0),
        ([1.0, 4.0, math.inf, 2.0, 3.0], 0.4, math.inf),
    ],
)
def test_min_k_is_the_mean_of_the_highest_losses(losses: list[float], share: float, expected: float) -> None:
    assert min_k_loss(losses, share) == pytest.approx(expected)


def test_min_k_of_what_is_not_defined_is_not() -> None:
    assert math.isnan(min_k_loss([0.1, math.nan, 0.2, 0.3, 9.0], 0.2))
    assert math.isnan(min_k_loss([], 0.4))


@given(LOSSES, LOSSES)
def test_the_auc_counts_the_pairs_that_are_in_order(members: list[float], nonmembers: list[float]) -> None:
    pairs = list(product(members, nonmembers))
    expected = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert membership_auc(np.array(members), np.array(nonmembers)) == pytest.approx(expected, abs=1e-12)
    assert membership_auc(np.array(nonmembers), np.array(members)) == pytest.approx(1 - expected, abs=1e-12)


def test_the_auc_of_many_samples_at_once_is_that_of_each() -> None:
    members, nonmembers = RNG.normal(size=(4, 7)), RNG.normal(size=(4, 5))
    each = [membership_auc(a, b) for a, b in zip(members, nonmembers, strict=True)]
    assert membership_auc(members, nonmembers) == pytest.approx(each)
    assert membership_auc(members.T, nonmembers.T, axis=0) == pytest.approx(each)


def test_no_auc_without_losses_on_both_sides() -> None:
    assert math.isnan(membership_auc(np.array([]), np.array([1.0])))
    assert math.isnan(membership_auc(np.array([1.0]), np.array([])))
    assert math.isnan(membership_auc(np.array([1.0, math.nan]), np.array([1.0])))


def test_priv_leak_has_the_papers_direction_and_size() -> None:
    # MUSE News: Retrain's AUC is 0.4772, and all members above all others is as far as it goes.
    assert round(float(priv_leak(1.0, 0.4772)), 1) == 109.6
    assert priv_leak(0.0, 0.4772) == -100
    assert priv_leak(0.4772, 0.4772) == 0
    assert priv_leak(0.0, 0.0) == 0
    assert priv_leak(0.3, 0.0) == math.inf
    assert math.isnan(priv_leak(math.nan, 0.0)) and math.isnan(priv_leak(0.3, math.nan))


def items(rouge: float, members: list[float], nonmembers: list[float]) -> MuseItems:
    names = (tuple(f"m{i}" for i in range(len(members))), tuple(f"n{i}" for i in range(len(nonmembers))))
    scores = {name: np.array([rouge, rouge]) for name in ("verbatim", "knowledge_forget", "knowledge_retain")}
    return MuseItems(scores, np.array(members), np.array(nonmembers), names)


RETRAIN = items(0.2, [1.0, 2.0, 1.5, 2.5], [1.0, 2.0, 1.5, 2.5])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # It recites: every text that it has learnt costs it less than any other.
        (items(1.0, [0.1, 0.2, 0.1, 0.2], [2.0, 2.1, 2.2, 2.3]), {"verbmem_f": 100, "auc_min_k": 0, "privleak": -100}),
        # It knows nothing: all texts are the same to it.
        (items(0.0, [3.0] * 4, [3.0] * 4), {"verbmem_f": 0, "knowmem_f": 0, "knowmem_r": 0, "auc_min_k": 0.5, "privleak": 0}),
        # It was driven away from what it should forget.
        (items(0.1, [9.0, 8.0, 9.5, 8.5], [2.0, 2.1, 2.2, 2.3]), {"auc_min_k": 1, "privleak": 100, "privleak_published": 109.6}),
        # Driven away without end.
        (items(0.0, [math.inf] * 4, [2.0, 2.1, 2.2, 2.3]), {"auc_min_k": 1, "privleak": 100}),
        (RETRAIN, {"verbmem_f": 20, "privleak": 0, "privleak_published": 4.8}),
    ],
)
def test_the_scores_of_models_that_one_can_name(model: MuseItems, expected: dict[str, float]) -> None:
    scores = muse_scores(model, RETRAIN, 0.4772)
    assert {name: round(scores[name], 1) for name in expected} == expected


def test_a_model_without_losses_has_its_rouge_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = muse_scores(items(0.5, [math.nan] * 4, [1.0] * 4), RETRAIN, 0.4772)
    said = {"verbmem_f", "knowmem_f", "knowmem_r"}
    finite = {name for name, value in scores.items() if math.isfinite(value)}
    assert finite == {f"{name}{end}" for name in said for end in ("", "_low", "_high")}
    assert "privleak_published" not in muse_scores(RETRAIN, RETRAIN)


def random_items(shift: float, seed: int, size: int = 40) -> MuseItems:
    rng = np.random.default_rng(seed)
    model = items(0.0, rng.normal(2 + shift, 1, size).tolist(), rng.normal(2, 1, size).tolist())
    return MuseItems({name: rng.uniform(size=size) for name in model.rouge}, model.members, model.nonmembers, model.texts)


@settings(max_examples=5, deadline=None)
@given(st.floats(-2, 2), st.integers(0, 99))
def test_every_score_lies_between_its_bounds_which_repeat(shift: float, seed: int) -> None:
    model, retrain = random_items(shift, seed), random_items(0, seed + 1)
    scores = muse_scores(model, retrain, 0.4772)
    assert scores == muse_scores(model, retrain, 0.4772)
    metrics = {name for name in scores if not name.endswith(("_low", "_high"))}
    assert len(scores) == 3 * len(metrics) == 18
    for metric in metrics:
        assert scores[f"{metric}_low"] <= scores[metric] <= scores[f"{metric}_high"]
    assert scores["privleak_published_low"] == pytest.approx(100 * (scores["auc_min_k_low"] / 0.4772 - 1))


def test_the_interval_of_the_auc_is_that_of_all_draws() -> None:
    """Two members and two others have 16 draws, few enough to count: 1/16 of them is more than the tail that is cut off."""
    members, nonmembers = np.array([1.0, 3.0]), np.array([2.0, 4.0])
    exact = [
        membership_auc(members[list(i)], nonmembers[list(j)])
        for i in product((0, 1), repeat=2)
        for j in product((0, 1), repeat=2)
    ]
    assert auc_interval(members, nonmembers) == (min(exact), max(exact)) == (0, 1)
    # Of eight, which have 65536: its own quantiles, to what 9999 draws of them leave open.
    many, others = RNG.normal(0, 1, 4), RNG.normal(1, 1, 4)
    each = np.array(list(product(range(4), repeat=4)))
    all_draws = membership_auc(many[np.repeat(each, len(each), axis=0)], others[np.tile(each, (len(each), 1))])
    assert auc_interval(many, others) == pytest.approx(tuple(np.quantile(all_draws, [0.025, 0.975])), abs=0.07)


def test_priv_leak_draws_the_same_texts_for_both_models() -> None:
    """Retrain against itself, or against what ranks all texts as it does, has no leak in any draw."""
    members, nonmembers = RNG.normal(size=20), RNG.normal(size=20)
    assert priv_leak_interval((members, members), (nonmembers, nonmembers)) == (0, 0)
    assert priv_leak_interval((np.exp(members), members), (np.exp(nonmembers), nonmembers)) == (0, 0)
    low, high = priv_leak_interval((members[::-1], members), (nonmembers[::-1], nonmembers))
    assert low < -10 and high > 10


def test_where_retrain_has_an_auc_of_0_too_often_there_is_no_interval() -> None:
    low, high = np.array([0.0, 1.0]), np.array([0.5, 9.0])
    assert 0 < membership_auc(low, high) < membership_auc(high, low)
    assert all(map(math.isnan, priv_leak_interval((high, low), (low, high))))


def test_one_text_has_no_interval() -> None:
    one, two = np.array([1.0]), np.array([1.0, 2.0])
    for interval in (auc_interval(one, two), auc_interval(two, one), priv_leak_interval((one, one), (two, two))):
        assert all(map(math.isnan, interval))
    assert all(map(math.isnan, resampled_interval((one,), np.mean)))
    assert all(map(math.isnan, bootstrap_interval([])))
