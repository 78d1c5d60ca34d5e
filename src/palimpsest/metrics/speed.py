"""How fast answers are unlearned, and how much their length matters."""

import math

import numpy as np

from palimpsest.metrics.spread import Array


def epochs_to_half(epochs: Array, nll: Array) -> Array:
    """Return the epoch in which each answer's probability first falls to half of its value before unlearning.

    Shapes: `epochs` (epochs,) and `nll` (epochs, items), whose first row is from before unlearning; the result is (items,). NLLs
    are in nats, summed over the tokens of an answer, and linear between epochs. NaN if the probability never falls so far.
    """
    fallen = nll - nll[0] - math.log(2)
    after = (fallen >= 0).argmax(axis=0)
    items = np.flatnonzero(after)
    end = after[items]
    low, high = fallen[end - 1, items], fallen[end, items]
    found = np.full(nll.shape[1], math.nan)
    found[items] = epochs[end - 1] + (epochs[end] - epochs[end - 1]) * low / (low - high)
    return found


def length_exponent(tokens: Array, epochs: Array) -> float:
    """Return e of the least-squares fit log(1 / epochs) = e log(tokens) + c: unlearning is faster by 2**e at twice the length.

    Shapes (items,). Items with NaN are left out; NaN if the others have fewer than two lengths.
    """
    known = epochs > 0
    lengths, speeds = np.log(tokens[known]), -np.log(epochs[known])
    return float(np.polyfit(lengths, speeds, 1)[0]) if len({*lengths}) > 1 else math.nan
