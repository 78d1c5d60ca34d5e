"""The three Markov chains: their laws, sequences of them, and the best that a model of a mixture of them can predict."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
States = NDArray[np.uint8]
STATES = 10
# The states that a chain seeks; the last state belongs to none.
OWN = {"retain": (0, 1, 2), "forget1": (3, 4, 5), "forget2": (6, 7, 8)}
CHAINS = tuple(OWN)


def start(chain: str, leakage: float) -> Array:
    """Return where a chain starts, (10,): in one of its own states, but for a share of `leakage` (SimNPO, App. H)."""
    own = np.isin(np.arange(STATES), OWN[chain])
    law: Array = np.where(own, (1 - leakage) / own.sum(), leakage / (~own).sum())
    return law


def transitions(chain: str, leakage: float) -> Array:
    """Return the chances of the next state, (10, 10): from its own states as at the start, from all others uniform."""
    law = np.full((STATES, STATES), 1 / STATES)
    law[list(OWN[chain])] = start(chain, leakage)
    return law


def sample(chain: str, count: int, length: int, leakage: float, draws: np.random.Generator) -> States:
    """Draw sequences of a chain, (count, length)."""
    uniform = draws.random((length, count, 1))
    # The last sum may fall short of 1 by rounding, and is not looked at.
    first, following = np.cumsum(start(chain, leakage))[:-1], np.cumsum(transitions(chain, leakage), axis=1)[:, :-1]
    states = [(uniform[0] >= first).sum(axis=1)]
    for drawn in uniform[1:]:
        states.append((drawn >= following[states[-1]]).sum(axis=1))
    return np.stack(states, axis=1).astype(np.uint8)


def best_predictions(sequences: States, shares: Mapping[str, float], leakage: float) -> Array:
    """Return the chances of each next state, (count, length - 1, 10), given all before it, in a mixture of chains with `shares`.

    No model of the mixture can be nearer to the truth on average: it is each chain's law, weighted by its posterior.
    """
    known = [chain for chain, share in shares.items() if share > 0]
    laws = np.stack([transitions(chain, leakage) for chain in known])
    starts = np.stack([start(chain, leakage) for chain in known])
    prior = np.log([shares[chain] for chain in known])
    before, after = sequences[:, :-1], sequences[:, 1:]
    steps = np.log(laws[:, before, after])
    # What is seen before step t: the first state and t steps.
    seen = np.concatenate([np.zeros_like(steps[..., :1]), np.cumsum(steps, axis=-1)[..., :-1]], axis=-1)
    evidence = prior[:, None, None] + np.log(starts[:, sequences[:, :1]]) + seen
    posterior = np.exp(evidence - evidence.max(axis=0))
    posterior /= posterior.sum(axis=0)
    predicted: Array = np.einsum("knt,kntj->ntj", posterior, laws[:, before])
    return predicted


def divergence(truth: Array, predicted: Array) -> Array:
    """Return KL(truth || predicted) in nats over the last axis."""
    total: Array = (truth * (np.log(truth) - np.log(predicted))).sum(axis=-1)
    return total
