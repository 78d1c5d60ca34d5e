"""The three Markov chains: their transition probabilities and samples."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
States = NDArray[np.uint8]
STATES = 10
# The own states of each chain; the last state belongs to no chain.
OWN = {"retain": (0, 1, 2), "forget1": (3, 4, 5), "forget2": (6, 7, 8)}
CHAINS = tuple(OWN)


def start(chain: str, leakage: float) -> Array:
    """Return the start probabilities of a chain, shape (10,): `leakage` for states other than its own (SimNPO, App. H)."""
    own = np.isin(np.arange(STATES), OWN[chain])
    law: Array = np.where(own, (1 - leakage) / own.sum(), leakage / (~own).sum())
    return law


def transitions(chain: str, leakage: float) -> Array:
    """Return the transition probabilities, shape (10, 10): from own states as at the start, from other states uniform."""
    law = np.full((STATES, STATES), 1 / STATES)
    law[list(OWN[chain])] = start(chain, leakage)
    return law


def sample(chain: str, count: int, length: int, leakage: float, draws: np.random.Generator) -> States:
    """Draw sequences of a chain, shape (count, length)."""
    uniform = draws.random((length, count, 1))
    # The last cumulative sum may be below 1 by rounding, so it is not used.
    first, following = np.cumsum(start(chain, leakage))[:-1], np.cumsum(transitions(chain, leakage), axis=1)[:, :-1]
    states = [(uniform[0] >= first).sum(axis=1)]
    for drawn in uniform[1:]:
        states.append((drawn >= following[states[-1]]).sum(axis=1))
    return np.stack(states, axis=1).astype(np.uint8)
