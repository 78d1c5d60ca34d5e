"""Gradients of single terms: taken at moved weights (sharpness-aware minimisation), and without what opposes another gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from palimpsest.training.sharing import Sharing

# One part per trained weight; None where the loss does not depend on the weight.
Gradient = list[Tensor | None]


def take_gradient(sharing: Sharing) -> Gradient:
    """Return the gradient of the trained weights, and leave them without one."""
    weights = sharing.trained()
    gradient = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    return gradient


def put_gradient(sharing: Sharing, gradient: Gradient) -> None:
    """Give the trained weights a gradient."""
    for weight, part in zip(sharing.trained(), gradient, strict=True):
        weight.grad = part


@contextmanager
def moved(sharing: Sharing, gradient: Gradient, radius: float) -> Iterator[None]:
    """Move the weights up a gradient by a distance within this block; a gradient of 0 moves nothing.

    This is the inner step of sharpness-aware minimisation, epsilon = rho g / |g| (arXiv 2010.01412, eq. 2).
    """
    weights, norm = sharing.trained(), sharing.inner(gradient, gradient) ** 0.5
    kept = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, part in zip(weights, gradient, strict=True):
                if part is not None and norm:
                    weight.add_(part, alpha=radius / norm)
        yield
    finally:
        # Adding and subtracting would round.
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)


def total(weighted: Sequence[tuple[float, Gradient]]) -> Gradient:
    """Return the weighted sum of gradients."""
    found: Gradient = []
    for parts in zip(*(gradient for _, gradient in weighted), strict=True):
        # A product with 1 would copy a gradient as large as the model.
        terms = [
            part if weight == 1 else part * weight for (weight, _), part in zip(weighted, parts, strict=True) if part is not None
        ]
        found.append(sum(terms[1:], start=terms[0]) if terms else None)
    return found


def cosine(sharing: Sharing, one: Gradient, other: Gradient) -> float:
    """Return the cosine of the angle between two gradients; 0 if one of them is 0."""
    lengths = (sharing.inner(one, one) * sharing.inner(other, other)) ** 0.5
    return sharing.inner(one, other) / lengths if lengths else 0.0


def without_conflict(sharing: Sharing, gradient: Gradient, other: Gradient) -> Gradient:
    """Return the gradient nearest to a gradient g whose inner product with another, h, is not negative.

    It is g itself if <g, h> >= 0, and g - <g, h> / <h, h> h otherwise (arXiv 2503.09117; before it arXiv 1812.00420).
    """
    conflict = sharing.inner(gradient, other)
    if conflict >= 0:
        return gradient
    return total([(1.0, gradient), (-conflict / sharing.inner(other, other), other)])
