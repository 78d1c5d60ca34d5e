"""The sequences of one seed and their transition probabilities, in one safetensors file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from palimpsest.benchmarks.markov.chains import CHAINS, Array, States, sample, transitions
from palimpsest.benchmarks.markov.settings import ChainSettings
from palimpsest.streams import stream

FILE = "chains.safetensors"


@dataclass(frozen=True)
class Sequences:
    """The data of one chain: training and test states, shape (count, length), and transition probabilities, shape (10, 10)."""

    train: States
    test: States
    law: Array


def draw(settings: ChainSettings, seed: int) -> dict[str, Sequences]:
    """Draw all chains; each has its own random stream, so a change of one affects no other."""
    drawn = {}
    for chain in CHAINS:
        count = settings.retain_sequences if chain == "retain" else settings.forget_sequences
        states = sample(chain, count, settings.length, settings.leakage, stream(seed, "chain", chain))
        learnt = settings.learnt(count)
        drawn[chain] = Sequences(states[:learnt], states[learnt:], transitions(chain, settings.leakage))
    return drawn


def write(folder: Path, chains: dict[str, Sequences]) -> None:
    """Write all chains into a folder."""
    parts = {f"{chain}.{part}": np.ascontiguousarray(array) for chain, of in chains.items() for part, array in vars(of).items()}
    save_file(parts, folder / FILE)


def read(folder: Path) -> dict[str, Sequences]:
    """Read the chains of a folder."""
    parts = load_file(folder / FILE)
    return {chain: Sequences(*(parts[f"{chain}.{part}"] for part in ("train", "test", "law"))) for chain in CHAINS}
