"""The settings of the one training loop."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.errors import UserError
from palimpsest.settings import Count, Epochs, Layer, Option, Positive, Settings, Some, Weight

MeanOver = Literal["tokens", "items"]


class TrainSettings(Settings):
    """AdamW with linear warm-up over `warmup_epochs` and linear decay to zero (TOFU's schedule)."""

    learning_rate: Annotated[float, Field(ge=1e-10, le=1)] = 1e-5
    """Peak learning rate."""
    epochs: Epochs = 5
    """Passes over the training set (unlearning: over the forget set)."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Batch size: items per optimiser step."""
    drop_last: bool = False
    """Drop the last batch of an epoch if it is shorter than the batch size, unless it is the only one."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Weight decay of AdamW."""
    adam_epsilon: Annotated[float, Field(ge=1e-12, le=1e-2)] = 1e-8
    """Added to the denominator of AdamW's steps."""
    warmup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 1.0
    """Epochs of linear warm-up."""
    schedule: Literal["linear", "constant"] = "linear"
    """Learning rate after warm-up: linear decay to zero, or constant."""
    max_grad_norm: Positive | None = 1.0
    """Clip gradients to this norm; null: no clipping."""
    tokens_per_pass: Count = 2048
    """Maximum tokens per forward pass; larger optimiser steps accumulate gradients over several passes."""
    max_steps: Option[Count] = None
    """Stop after this many optimiser steps, over which the schedule then runs; null: after all epochs."""

    @property
    def last_epoch(self) -> int:
        """The number of the last epoch."""
        return self.epochs


class FinetuneSettings(TrainSettings):
    """How Original and Retrain are fine-tuned."""

    fact_lessons: Annotated[int, Field(ge=0, le=1000)] = 0
    """Times per epoch that each question about real authors and world facts is also trained on. Without them, a tiny model
    forgets these facts."""


class UnlearnSettings(TrainSettings):
    """Settings of unlearning: training, the random draw, the two loss weights, and the kind of retain loss."""

    epochs: Epochs = 10
    """Passes over the forget set."""
    stop_epoch: Option[Epochs] = None
    """Early stopping: stop after this epoch; learning rates and data order are those of the full run. null: run all epochs."""
    draw: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Number of the random draw: the order of the forget items, the retain items of each step and all else that is random in
    unlearning. Several draws share one original."""
    forget_weight: Weight = 1.0
    """Weight of the forget loss."""
    retain_weight: Weight = 1.0
    """Weight of the retain loss."""
    mean_over: MeanOver = "tokens"
    """How cross-entropies and KL divergences of a step are averaged: over all its tokens, or first over the tokens of each item
    and then over items (as in the official code, whose micro-batches have one item)."""
    retain_loss: Literal["ce", "kl", "none", "activations"] = "ce"
    """Cross-entropy, KL from the start model, none (no retain data), or activations of the trained layers; each method has its
    default."""

    retain_pairing: Literal["fresh", "fixed"] = "fresh"
    """The retain items of a step: drawn anew, or for each forget item always the same one (as in the official code)."""
    sharpness: Positive | None = None
    """Radius rho of sharpness-aware steps: the gradient of the forget loss is taken where the weights have moved this far up it,
    at the cost of one more pass over the forget items (arXiv 2502.05374, which has 0.01); null: plain steps."""
    gradients: Literal["summed", "projected"] = "summed"
    """How the gradients of the two losses become one: their sum, or before that the forget loss's is projected so that it does
    not oppose the retain loss's (GRU, arXiv 2503.09117)."""

    @property
    def last_epoch(self) -> int:
        """The number of the last epoch; raises UserError if `stop_epoch` is greater than `epochs`."""
        if self.stop_epoch is not None and self.stop_epoch > self.epochs:
            raise UserError(f"training: stop_epoch: {self.stop_epoch}: there are only {self.epochs} epochs")
        return self.stop_epoch or self.epochs


class LoraSettings(Settings):
    """Low-rank adapters (peft): a training keeps them alone, and who reads the model merges them into the weights below."""

    rank: Annotated[int, Field(ge=1, le=4096)] = 8
    """Rank of the adapters."""
    alpha: Positive = 16.0
    """Scale of the adapters: their output is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before the adapters."""
    target_modules: Some[str] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get adapters."""
    layers: Option[Some[Layer]] = None
    """Decoder layers that get adapters, counted from 0; null: all of them, and named layers outside of them."""
