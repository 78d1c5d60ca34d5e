"""The settings of the Markov-chain study; the defaults are the paper's (SimNPO, App. H)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from palimpsest.models.settings import Layers, Width
from palimpsest.settings import Count, Settings

Length = Annotated[int, Field(ge=2, le=1000)]
# A standard error needs two.
FEWEST_TESTED = 2


class ChainSettings(Settings):
    """How sequences are drawn of the retain chain and of the two forget chains."""

    retain_sequences: Count = 10_000
    """Sequences of the retain chain."""
    forget_sequences: Count = 5_000
    """Sequences of each forget chain."""
    length: Length = 20
    """States of a sequence."""
    leakage: Annotated[float, Field(ge=0.001, lt=1)] = 0.2
    """The share of steps from a chain's own states, and of its starts, that lead elsewhere."""
    test_share: Annotated[float, Field(ge=0.001, lt=1)] = 0.2
    """The share of the sequences that no model learns."""

    def learnt(self, sequences: int) -> int:
        """Return how many of so many sequences a model learns: the first ones."""
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
    """States of a Forget2 sequence; null: as many as of the others."""
    forget2_learnt: bool = True
    """Whether the original has learnt Forget2."""


class ChainModel(Settings):
    """A GPT-2 whose tokens are the states of the chains."""

    kind: Literal["gpt2"]
    """Made in the workflow, for benchmarks of kind markov alone."""
    layers: Layers = 4
    """Number of layers."""
    heads: Layers = 4
    """Attention heads a layer."""
    width: Width = 128
    """Hidden size: a multiple of the heads."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width: {self.width} cannot be shared by {self.heads} heads")
        return self
