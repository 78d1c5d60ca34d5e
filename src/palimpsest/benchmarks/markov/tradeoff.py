"""What forgetting costs along a path of unlearning: one distance from the truth read where another first reaches a level."""

import math

import numpy as np
from numpy.typing import ArrayLike

# At so many retain distances two forget distances are compared.
POINTS = 200


def retain_at_forget(retain: ArrayLike, forget: ArrayLike, level: float) -> float:
    """Return the retain distance at which a path (points,) first has forgotten as far as a level; NaN where it never does."""
    return _where_first_reached(forget, level, retain)


def forget_at_retain(retain: ArrayLike, forget: ArrayLike, distance: float) -> float:
    """Return how far a path (points,) has forgotten where it first is at a retain distance; NaN where it never is."""
    return _where_first_reached(retain, distance, forget)


def equal_retain(*paths: ArrayLike) -> float:
    """Return the largest retain distance that all paths, each (points,), reach."""
    return min(float(np.max(path)) for path in paths)


def mean_gap(retain: ArrayLike, one: ArrayLike, other: ArrayLike, end: float) -> float:
    """Return how far two forget distances of a path (points,) are apart, averaged over its retain distances up to `end`."""
    grid = np.linspace(float(np.asarray(retain)[0]), end, POINTS)
    gaps = [abs(forget_at_retain(retain, one, at) - forget_at_retain(retain, other, at)) for at in grid]
    return float(np.mean(gaps))


def _where_first_reached(climbing: ArrayLike, level: float, read: ArrayLike) -> float:
    """Return `read` where `climbing` first is at a level or above, linear between points; a path may begin there."""
    climbed, values = np.asarray(climbing, dtype=float), np.asarray(read, dtype=float)
    reached = np.flatnonzero(climbed >= level)
    if not len(reached):
        return math.nan
    after = int(reached[0])
    if after == 0:
        return float(values[0])
    # From the point before, which is below the level, to this one.
    return float(np.interp(level, climbed[after - 1 : after + 1], values[after - 1 : after + 1]))
