"""The chains: their laws are the paper's, sequences follow them, and what the best predictor leaves agrees with known values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markov_optimum import best_predictions, divergence

from palimpsest.benchmarks.markov.chains import CHAINS, OWN, STATES, sample, start, transitions
from palimpsest.benchmarks.markov.data import draw, read, write
from palimpsest.benchmarks.markov.settings import ChainSettings
from palimpsest.streams import stream

LEAKAGE = 0.2
leakages = st.floats(0.01, 0.99)
chains = st.sampled_from(CHAINS)


@given(chain=chains, leakage=leakages)
def test_laws_are_probabilities_that_differ_on_own_states_alone(chain: str, leakage: float) -> None:
    law = transitions(chain, leakage)
    assert law.shape == (STATES, STATES)
    assert law.sum(axis=1) == pytest.approx(1)
    for state in range(STATES):
        own = state in OWN[chain]
        assert law[state] == pytest.approx(start(chain, leakage) if own else 0.1)
    assert start(chain, leakage)[list(OWN[chain])].sum() == pytest.approx(1 - leakage)


def test_the_numbers_of_the_paper() -> None:
    assert start("retain", LEAKAGE)[:4] == pytest.approx([0.8 / 3, 0.8 / 3, 0.8 / 3, 0.2 / 7])
    assert {chain: OWN[chain] for chain in CHAINS} == {"retain": (0, 1, 2), "forget1": (3, 4, 5), "forget2": (6, 7, 8)}


@pytest.mark.parametrize("chain", CHAINS)
def test_sequences_follow_their_law(chain: str) -> None:
    count, length = 50_000, 6
    drawn = sample(chain, count, length, LEAKAGE, stream(0, chain))
    assert drawn.shape == (count, length)
    assert drawn.dtype == np.uint8
    first = np.bincount(drawn[:, 0], minlength=STATES) / count
    assert first == pytest.approx(start(chain, LEAKAGE), abs=0.01)
    pairs = np.zeros((STATES, STATES))
    np.add.at(pairs, (drawn[:, :-1].ravel(), drawn[:, 1:].ravel()), 1)
    seen = pairs.sum(axis=1, keepdims=True)
    # Five standard errors of a share of as many draws as the row has.
    law = transitions(chain, LEAKAGE)
    assert (np.abs(pairs / seen - law) < 5 * np.sqrt(law * (1 - law) / seen)).all()


@given(chain=chains, leakage=leakages, seed=st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_longer_sequence_begins_with_the_shorter(chain: str, leakage: float, seed: int) -> None:
    # One split of the study looks at the first states of the other's sequences.
    short, long = (sample(chain, 5, length, leakage, stream(seed)) for length in (4, 9))
    assert (short == long[:, :4]).all()
    assert long.max() < STATES


# Mean KL(true || best prediction) a predicted state, found by others with 1e5 sequences a chain.
LEARNT = {
    "all": ({"retain": 0.5, "forget1": 0.25, "forget2": 0.25}, 5, [0.0189, 0.0340, 0.0680]),
    "no forget2": ({"retain": 2 / 3, "forget1": 1 / 3}, 20, [0.0109, 0.0251, 0.4113]),
    "retain": ({"retain": 1.0}, 5, [0.0, 0.42634, 0.44702]),
}


@pytest.mark.parametrize("learnt", LEARNT)
def test_the_best_predictor_is_as_far_from_the_truth_as_is_known(learnt: str) -> None:
    shares, last, expected = LEARNT[learnt]
    for chain, length, known in zip(CHAINS, (20, 20, last), expected, strict=True):
        drawn = sample(chain, 40_000, length, LEAKAGE, stream(1, chain, length))
        truth = transitions(chain, LEAKAGE)[drawn[:, :-1]]
        each = divergence(truth, best_predictions(drawn, shares, LEAKAGE)).mean(axis=1)
        error = each.std() / np.sqrt(len(each))
        assert abs(each.mean() - known) < 5 * error + 5e-4


def test_the_closed_form_of_a_predictor_that_knows_retain_alone() -> None:
    # Forget2 is in its own states with chance 0.6 + 0.2 / 2^t, and leaves each other state alike.
    own, retain = transitions("forget2", LEAKAGE), transitions("retain", LEAKAGE)
    at = divergence(own, retain)
    inside = np.mean([0.6 + 0.2 * 0.5**step for step in range(4)])
    assert inside * at[6] + (1 - inside) * 3 / 7 * at[0] == pytest.approx(0.44702, abs=1e-5)


@given(chain=chains, seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_the_best_prediction_is_a_mixture_of_the_laws(chain: str, seed: int) -> None:
    drawn = sample(chain, 4, 12, LEAKAGE, stream(seed))
    shares = {"retain": 0.5, "forget1": 0.3, "forget2": 0.2}
    predicted = best_predictions(drawn, shares, LEAKAGE)
    assert predicted.sum(axis=-1) == pytest.approx(1)
    laws = np.stack([transitions(name, LEAKAGE)[drawn[:, :-1]] for name in CHAINS])
    assert (predicted >= laws.min(axis=0) - 1e-12).all()
    assert (predicted <= laws.max(axis=0) + 1e-12).all()


def test_sequences_are_split_and_come_back_from_their_file(tmp_path) -> None:
    chosen = ChainSettings(retain_sequences=50, forget_sequences=20, length=7)
    drawn = draw(chosen, seed=3)
    assert {chain: (len(of.train), len(of.test)) for chain, of in drawn.items()} == {
        "retain": (40, 10),
        "forget1": (16, 4),
        "forget2": (16, 4),
    }
    write(tmp_path, drawn)
    for chain, of in read(tmp_path).items():
        for part, array in vars(of).items():
            assert (array == getattr(drawn[chain], part)).all()
    # More retain sequences shift no other chain.
    assert (draw(chosen.model_copy(update={"retain_sequences": 60}), seed=3)["forget1"].train == drawn["forget1"].train).all()
    assert (draw(chosen, seed=4)["forget1"].train != drawn["forget1"].train).any()
