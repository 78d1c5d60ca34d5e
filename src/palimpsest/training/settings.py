"""The settings of the one training loop."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.errors import UserError
from palimpsest.settings import Count, Epochs, Positive, Settings, Some, Weight


class TrainSettings(Settings):
    """AdamW with linear warm-up over `warmup_epochs` and linear decay to zero (the schedule of TOFU)."""

    learning_rate: Annotated[float, Field(ge=1e-10, le=1)] = 1e-5
    """Peak learning rate."""
    epochs: Epochs = 5
    """Passes over the training set (unlearning: over the forget set)."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Items an optimiser step."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Of AdamW."""
    warmup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 1.0
    """Epochs of linear warm-up."""
    schedule: Literal["linear", "constant"] = "linear"
    """What follows warm-up: linear decay to zero, or no decay."""
    max_grad_norm: Positive | None = 1.0
    """Gradients are clipped to this norm; null: never."""
    tokens_per_pass: Count = 2048
    """Tokens that one forward pass holds; larger steps are accumulated over several passes."""
    max_steps: Count | None = None
    """Stop after so many optimiser steps, over which the schedule then runs; null: after all epochs."""

    @property
    def last_epoch(self) -> int:
        """The epoch after which training ends."""
        return self.epochs


class FinetuneSettings(TrainSettings):
    """How original and Retrain learn their sets."""

    fact_lessons: Annotated[int, Field(ge=0, le=1000)] = 0
    """How often an epoch also asks each fact of the two sets on the real world: a tiny model loses what its base knew without."""


class UnlearnSettings(TrainSettings):
    """Training settings of an unlearning method, its two loss weights and the kind of its retain loss (none: no retain data)."""

    epochs: Epochs = 10
    """Passes over the forget set."""
    stop_epoch: Epochs | None = None
    """Stop after this epoch of the schedule, whose rates and draws stay those of all epochs; null: after the last."""
    forget_weight: Weight = 1.0
    """Weight of the forget loss."""
    retain_weight: Weight = 1.0
    """Weight of the retain loss."""
    retain_loss: Literal["ce", "kl", "none", "activations"] = "ce"
    """Cross-entropy, KL from the original, none (no retain data), or activations of trained layers; its default: the method's."""

    @property
    def last_epoch(self) -> int:
        """The epoch after which training ends; raises UserError where the schedule has no such epoch."""
        if self.stop_epoch is not None and self.stop_epoch > self.epochs:
            raise UserError(f"training: stop_epoch {self.stop_epoch} comes after the last of {self.epochs} epochs")
        return self.stop_epoch or self.epochs


class LoraSettings(Settings):
    """Low-rank adapters (peft), merged into the weights before they are saved."""

    rank: Annotated[int, Field(ge=1, le=4096)] = 8
    """Rank of the adapters."""
    alpha: Positive = 16.0
    """Scale: the adapters count alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the adapters."""
    target_modules: Some[str] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get adapters."""
