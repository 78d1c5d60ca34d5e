"""The models of the chains: what they minimise, how they are watched, and how far they are from the truth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from markov_optimum import divergence
from torch import nn
from torch.nn import functional as F

from palimpsest.benchmarks.markov.chains import CHAINS, STATES, sample, transitions
from palimpsest.benchmarks.markov.data import draw
from palimpsest.benchmarks.markov.models import ChainTraining, EachStep, build_model, encode
from palimpsest.benchmarks.markov.settings import ChainModel, ChainSettings
from palimpsest.benchmarks.markov.suite import distances, divergences
from palimpsest.methods import make_method
from palimpsest.methods.problem import Unlearning
from palimpsest.models.packing import Layouts, label_logits, pack, token_nll
from palimpsest.models.scoring import score
from palimpsest.models.settings import UsedSettings
from palimpsest.streams import stream
from palimpsest.training.loop import train
from palimpsest.training.problems import Scored
from palimpsest.training.settings import TrainSettings, UnlearnSettings

SMALL = ChainModel(kind="chain", architecture="gpt2", layers=2, heads=2, width=32)
BOTH = [SMALL, ChainModel(kind="chain", architecture="official", layers=2, heads=1, width=32)]
ARCHITECTURES = pytest.mark.parametrize("of", BOTH, ids=[of.architecture for of in BOTH])
PLAIN = {"warmup_epochs": 0.0, "schedule": "constant", "max_grad_norm": None}


class Law(nn.Module):
    """A model that predicts by a fixed law, so that its distance from any other law is known."""

    def __init__(self, law: np.ndarray) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.from_numpy(np.log(law)).float())

    def forward(self, input_ids, **_):
        return type("Output", (), {"logits": self.logits[input_ids] + 3.0})


@pytest.mark.parametrize("chain", CHAINS)
def test_the_distance_of_a_known_model(chain: str) -> None:
    states = sample(chain, 2000, 6, 0.2, stream(0))
    true, other = transitions(chain, 0.2), transitions("retain", 0.2)
    assert divergences(Law(true), states, true) == pytest.approx(np.zeros((2000, 5)), abs=1e-6)
    found = divergences(Law(other), states, true)
    assert found == pytest.approx(divergence(true, other)[states[:, :-1]], abs=1e-6)


def test_distances_are_means_over_sequences_with_their_standard_errors() -> None:
    chains = draw(ChainSettings(retain_sequences=100, forget_sequences=50, length=8), seed=0)
    model = build_model(SMALL, 8, seed=0).eval()
    lengths = {"retain": 8, "forget1": 8, "forget2": 3}
    for most in (None, 4):
        for row in distances(model, chains, lengths, most):
            of = chains[row["chain"]]
            each = divergences(model, of.test[:most, : lengths[row["chain"]]], of.law).mean(axis=1)
            assert row["kl"] == pytest.approx(each.mean())
            assert row["se"] == pytest.approx(each.std(ddof=1) / len(each) ** 0.5)


@ARCHITECTURES
@given(counts=st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(any), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_learning_minimises_the_cross_entropy_over_all_predicted_states(
    of: ChainModel, counts: tuple[int, int], seed: int
) -> None:
    drawn = [sample("retain", count, length, 0.2, stream(seed)) for count, length in zip(counts, (8, 3), strict=True)]
    items = [item for states in drawn for item in encode(states)]
    model = build_model(of, 8, seed=0).eval().double()
    total = 0.0
    for term in ChainTraining(items).terms(range(len(items)), 0):
        row = pack(term.items, Layouts())
        assert "attention_mask" not in row.calls[0] or len(term.items) == 1
        logits = label_logits(model, row)
        each, tokens = token_nll(logits, row), torch.tensor(row.lengths)
        scored = Scored(slice(None), row, logits, row.per_answer(each).view(-1, 1), tokens.view(-1, 1), each)
        total += term.weight * term.loss(scored).mean().item()
    plain, predicted = 0.0, 0
    for item in items:
        ids = torch.tensor([item.prompt + item.answers[0]])
        plain += F.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="sum").item()
        predicted += len(item.answers[0])
    assert total == pytest.approx(plain / predicted, rel=1e-5)


def test_every_iteration_takes_the_next_sequences() -> None:
    seen: list[list[int]] = []

    class Recorded:
        size = 100

        def terms(self, indices, step):
            seen.append(list(indices))
            return []

    problem = EachStep(Recorded(), 4)
    for step in range(3):
        # The loop shuffles within an epoch.
        problem.terms([2, 0, 3, 1], step)
    assert [sorted(step) for step in seen] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@ARCHITECTURES
@pytest.mark.parametrize(("method", "loss"), [("npo", {"beta": 0.2}), ("simnpo", {"beta": 4.0, "gamma": 0.0})])
def test_unlearning_moves_away_from_the_forget_chains_step_by_step(of: ChainModel, method: str, loss: dict[str, float]) -> None:
    chains = draw(ChainSettings(retain_sequences=400, forget_sequences=200, length=8), seed=0)
    model = build_model(of, 8, seed=0)
    learnt = [item for chain in chains.values() for item in encode(chain.train)]
    training = TrainSettings(learning_rate=2e-3, epochs=6, batch_size=32, **PLAIN)
    train(model, ChainTraining(learnt), training, UsedSettings(), seed=0, label="learn")

    forget = [item for chain in ("forget1", "forget2") for item in encode(chains[chain].train)]
    references = [scores.nll[0] for scores in score(model, forget, 512)]
    unlearning = UnlearnSettings(learning_rate=4e-3, epochs=12, batch_size=4, retain_loss="none", **PLAIN)
    problem = Unlearning(make_method(method, loss), unlearning, forget=forget, retain=(), references=references, seed=0)
    found: dict[int, dict[str, float]] = {}
    lengths = dict.fromkeys(chains, 8)

    def watch(iteration: int) -> None:
        found[iteration] = {row["chain"]: row["kl"] for row in distances(model, chains, lengths, None)}

    watch(0)
    log = train(model, EachStep(problem, 4), unlearning, UsedSettings(), seed=0, label=method, after_epoch=watch)
    assert list(found) == list(range(13))
    assert len(log) == 12
    assert not any("retain" in entry for entry in log)
    for chain in ("forget1", "forget2"):
        assert found[12][chain] > found[0][chain] + 0.1
    # It is the forget chains that are pushed away, more than what is kept.
    assert found[12]["forget1"] - found[0]["forget1"] > found[12]["retain"] - found[0]["retain"]


def test_states_are_the_tokens() -> None:
    model = build_model(ChainModel(kind="chain", architecture="gpt2"), 20, seed=0)
    assert model.config.vocab_size == STATES
    assert (model.config.n_layer, model.config.n_head, model.config.n_embd) == (4, 4, 128)
    assert [(item.prompt, item.answers) for item in encode(np.array([[3, 1, 2]], dtype=np.uint8))] == [([3], [[1, 2]])]
