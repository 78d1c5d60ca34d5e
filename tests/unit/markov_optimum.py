"""The best possible predictions for a mixture of Markov chains, and the divergence of others from them."""

from collections.abc import Mapping

import numpy as np

from palimpsest.benchmarks.markov.chains import Array, States, start, transitions


def best_predictions(sequences: States, shares: Mapping[str, float], leakage: float) -> Array:
    """The probabilities of each next state given the earlier states, shape (count, length - 1, 10), in a mixture of
    chains.

    These are the transition probabilities weighted by the posterior of each chain; no model of the mixture is better on average.
    """
    known = [chain for chain, share in shares.items() if share > 0]
    laws = np.stack([transitions(chain, leakage) for chain in known])
    starts = np.stack([start(chain, leakage) for chain in known])
    prior = np.log([shares[chain] for chain in known])
    before, after = sequences[:, :-1], sequences[:, 1:]
    steps = np.log(laws[:, before, after])
    # Before step t, the first state and t steps are known.
    seen = np.concatenate([np.zeros_like(steps[..., :1]), np.cumsum(steps, axis=-1)[..., :-1]], axis=-1)
    evidence = prior[:, None, None] + np.log(starts[:, sequences[:, :1]]) + seen
    posterior = np.exp(evidence - evidence.max(axis=0))
    posterior /= posterior.sum(axis=0)
    predicted: Array = np.einsum("knt,kntj->ntj", posterior, laws[:, before])
    return predicted


def divergence(truth: Array, predicted: Array) -> Array:
    """KL(truth || predicted) in nats over the last axis."""
    total: Array = (truth * (np.log(truth) - np.log(predicted))).sum(axis=-1)
    return total
