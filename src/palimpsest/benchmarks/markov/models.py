"""The models of the Markov-chain study, and what they learn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from palimpsest.benchmarks.markov.chains import STATES, States
from palimpsest.data.prompts import Encoded
from palimpsest.training.problems import Problem, Term, cross_entropy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from palimpsest.benchmarks.markov.settings import ChainModel


def build_model(settings: ChainModel, context: int, seed: int) -> PreTrainedModel:
    """Initialise a model from a seed; it has no dropout."""
    torch.manual_seed(seed)
    return _official(settings, context) if settings.architecture == "official" else _gpt2(settings, context)


def _official(settings: ChainModel, context: int) -> PreTrainedModel:
    from palimpsest.benchmarks.markov.official import OfficialConfig, OfficialModel

    config = OfficialConfig(
        vocab_size=STATES,
        max_position_embeddings=context,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
    )
    return OfficialModel(config)


def _gpt2(settings: ChainModel, context: int) -> PreTrainedModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=STATES,
        n_positions=context,
        n_embd=settings.width,
        n_layer=settings.layers,
        n_head=settings.heads,
        # The same function as GPT-2's, as one operation.
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )
    model: PreTrainedModel = GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")
    return model


def encode(states: States) -> list[Encoded]:
    """Return sequences as items: the first state is given, the others are to be predicted."""
    return [Encoded(row[:1], [row[1:]]) for row in states.tolist()]


class ChainTraining:
    """Learn sequences: cross-entropy over all predicted states of a step."""

    def __init__(self, items: Sequence[Encoded]) -> None:
        self.items = items
        self.size = len(items)

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return one term a length, which so needs neither padding nor a mask, weighted by its share of the predicted states."""
        batch = sorted((self.items[i] for i in indices), key=lambda item: item.tokens)
        groups = [list(items) for _, items in groupby(batch, key=lambda item: item.tokens)]
        predicted = [sum(item.tokens - 1 for item in items) for items in groups]
        return [
            Term(f"loss_{items[0].tokens}", count / sum(predicted), items, cross_entropy(items))
            for items, count in zip(groups, predicted, strict=True)
        ]


class EachStep:
    """A problem in which every optimiser step is an epoch of its own, over the next items: so it can be watched step by step."""

    def __init__(self, problem: Problem, batch_size: int) -> None:
        self.problem = problem
        self.size = batch_size

    def terms(self, indices: Sequence[int], step: int) -> list[Term]:
        """Return the terms of the next items."""
        return self.problem.terms([step * self.size + index for index in indices], step)
