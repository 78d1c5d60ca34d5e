"""Where a path of unlearning first reaches a level: paths made by hand, and what holds of all of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.benchmarks.markov.tradeoff import equal_retain, forget_at_retain, mean_gap, retain_at_forget

RETAIN, FORGET = [0.0, 0.1, 0.3, 0.2, 0.6], [0.1, 0.2, 0.6, 0.4, 1.0]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0.2, 0.1),
        (0.4, 0.2),
        (0.6, 0.3),
        (0.8, 0.2 + 0.4 * 2 / 3),
        (1.0, 0.6),
        # It begins there, or beyond.
        (0.1, 0.0),
        (-1.0, 0.0),
        (1.1, math.nan),
        (math.nan, math.nan),
    ],
)
def test_the_retain_distance_at_a_level_of_forgetting(level, expected):
    assert retain_at_forget(RETAIN, FORGET, level) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("distance", "expected"), [(0.05, 0.15), (0.2, 0.4), (0.45, 0.4 + 0.6 * 5 / 8), (0.7, math.nan)])
def test_how_far_is_forgotten_at_a_retain_distance(distance, expected):
    assert forget_at_retain(RETAIN, FORGET, distance) == pytest.approx(expected, nan_ok=True)


def test_a_path_of_one_point_is_there_or_not():
    assert retain_at_forget([0.3], [0.5], 0.5) == 0.3
    assert math.isnan(retain_at_forget([0.3], [0.5], 0.6))


def test_a_level_that_is_left_and_reached_again_counts_once():
    assert retain_at_forget([0.0, 0.4, 0.5, 0.9], [0.0, 1.0, 0.0, 1.0], 0.5) == pytest.approx(0.2)


def test_the_largest_retain_distance_that_all_reach():
    assert equal_retain([0.0, 0.5, 0.2], [0.1, 0.3]) == 0.3


points = st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=20)


@given(points, st.floats(-1, 11))
def test_it_is_reached_if_and_only_if_some_point_is_at_the_level(path, level):
    retain, forget = zip(*path, strict=True)
    found = retain_at_forget(retain, forget, level)
    assert math.isnan(found) == (max(forget) < level)
    assert math.isnan(found) or min(retain) - 1e-9 <= found <= max(retain) + 1e-9


@given(points)
def test_at_a_point_that_is_higher_than_all_before_it_is_that_point(path):
    retain, forget = zip(*path, strict=True)
    for place, height in enumerate(forget):
        if height > max(forget[:place], default=-1.0):
            assert retain_at_forget(retain, forget, height) == pytest.approx(retain[place])


@given(points, st.floats(0, 10))
def test_what_comes_after_changes_nothing(path, level):
    retain, forget = np.array(path).T
    last = int(np.argmax(forget >= level))
    if forget[last] >= level:
        assert retain_at_forget(retain, forget, level) == retain_at_forget(retain[: last + 1], forget[: last + 1], level)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=20), st.floats(0, 1))
def test_on_a_path_that_only_climbs_the_two_undo_each_other(steps, share):
    retain, forget = np.cumsum(steps), np.cumsum(steps[::-1])
    # Rounding may leave the path.
    distance = min(retain[0] + share * (retain[-1] - retain[0]), retain[-1])
    assert retain_at_forget(retain, forget, forget_at_retain(retain, forget, distance)) == pytest.approx(distance)


@given(points)
def test_all_reach_the_equal_distance(path):
    retain, forget = np.array(path).T
    other = retain[::-1] / 2
    at = equal_retain(retain, other)
    assert not math.isnan(forget_at_retain(retain, forget, at))
    assert not math.isnan(forget_at_retain(other, forget, at))


def test_the_gap_is_averaged_over_the_retain_distances_on_the_way() -> None:
    retain = [0.0, 0.5, 1.0]
    assert mean_gap(retain, [0.0, 1.0, 2.0], [0.0, 0.0, 0.0], 1.0) == pytest.approx(1.0)
    assert mean_gap(retain, [0.0, 1.0, 2.0], [0.0, 0.0, 0.0], 0.5) == pytest.approx(0.5)
    # Which of the two is further is nothing to it.
    assert mean_gap(retain, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], 1.0) == pytest.approx(0.5, abs=0.01)
    assert math.isnan(mean_gap(retain, retain, retain, 1.1))
    assert math.isnan(mean_gap(retain, retain, retain, math.nan))
