"""The settings of the Markov-chain study; the defaults are the paper's (SimNPO, App. H)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from palimpsest.models.settings import Layers, Width
from palimpsest.settings import Count, Settings

Length = Annotated[int, Field(ge=2, le=1000)]
# A standard error needs two.
FEWEST_TESTED = 2


class ChainSettings(Settings):
    """How sequences are drawn from the retain chain and the two forget chains."""

    retain_sequences: Count = 10_000
    """Number of sequences from the retain chain."""
    forget_sequences: Count = 5_000
    """Number of sequences from each forget chain."""
    length: Length = 20
    """States per sequence."""
    leakage: Annotated[float, Field(ge=0.001, lt=1)] = 0.2
    """Probability that a chain starts outside its own states, or leaves them in a step."""
    test_share: Annotated[float, Field(ge=0.001, lt=1)] = 0.2
    """Fraction of the sequences held out for testing."""

    def learnt(self, sequences: int) -> int:
        """Return how many of `sequences` are for training; these are the first ones."""
        return sequences - round(sequences * self.test_share)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("retain_sequences", "forget_sequences"):
            sequences = getattr(self, name)
            learnt = self.learnt(sequences)
            if not learnt or sequences - learnt < FEWEST_TESTED:
                parts = f"{learnt} to learn and {sequences - learnt} to test with, where 1 and {FEWEST_TESTED} are needed"
                raise ValueError(f"{name}: {sequences}: a test_share of {self.test_share} leaves {parts}")
        return self


class ChainSplit(Settings):
    """How the two forget chains differ."""

    forget2_length: Length | None = None
    """States per sequence of Forget2; null: as many as in the other chains."""
    forget2_learnt: bool = True
    """Whether the original is trained on Forget2."""


class ChainModel(Settings):
    """A transformer whose tokens are the states of the chains."""

    kind: Literal["chain"]
    """Trained from scratch in the workflow, only for benchmarks of kind markov."""
    architecture: Literal["official", "gpt2"]
    """`official`: the model of the paper's synthetic code, which has 1 head; `gpt2`: GPT-2, which the paper names."""
    layers: Layers = 4
    """Number of layers."""
    heads: Layers = 4
    """Attention heads per layer."""
    width: Width = 128
    """Hidden size; a multiple of the number of heads."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.architecture == "official" and self.heads != 1:
            raise ValueError(f"heads: {self.heads}: the official architecture has 1")
        if self.width % self.heads:
            raise ValueError(f"width: {self.width}: with {self.heads} heads it must be a multiple of {self.heads}")
        return self
