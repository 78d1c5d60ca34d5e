"""Noise: perturb the weights at random, which can bring out what a model hides (arXiv 2412.01784)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from palimpsest.attacks.base import Draws, Edit, Target
from palimpsest.streams import stream

if TYPE_CHECKING:
    from torch import Tensor


class Noise(Edit):
    """Add Gaussian noise to the weights of every linear layer except the output head (arXiv 2412.01784)."""

    kind: Literal["noise"]
    """Gaussian noise on the weights."""
    share: Annotated[float, Field(ge=1e-6, le=100)] = 0.1
    """Standard deviation of the noise, as a share of the standard deviation of each weight matrix."""
    draws: Draws = 1
    """Number of random draws; each is a separate attack; results are their mean and spread."""

    @property
    def number_of_draws(self) -> int:
        """The number of draws."""
        return self.draws

    def edited(self, name: str, weight: Tensor, target: Target) -> Tensor:
        """Return the weight with noise from a random stream of its own for each layer and draw."""
        import torch

        # Drawn on the CPU, so that the random numbers do not depend on the GPU.
        random = torch.Generator().manual_seed(int(stream(target.seed, "noise", target.draw, name).integers(2**63)))
        return with_noise(weight, self.share, torch.randn(weight.shape, generator=random))


def with_noise(weight: Tensor, share: float, normal: Tensor) -> Tensor:
    """Return w + share * sd(w) * z for a weight w and standard normal numbers z of the same shape."""
    noisy: Tensor = (weight.float() + share * weight.float().std() * normal.to(weight.device)).to(weight.dtype)
    return noisy
