"""Models among the inputs of a job, with whole weights or as adapters over other inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from palimpsest.models.loading import load_model, open_model

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

    from palimpsest.contract.job import Job
    from palimpsest.models.settings import UsedSettings


def load_input(job: Job[Any], name: str, used: UsedSettings, *, frozen: bool = False) -> PreTrainedModel:
    """Load the model given under a name; an adapter is merged into the models that it lies over."""
    return load_model(job.input(name), used, over=job.over(name), frozen=frozen)


def data_sets(job: Job[Any]) -> dict[str, Path]:
    """Return the argument `datasets` of a suite that reads data sets of the Hub; empty for other suites."""
    return {"datasets": job.input("datasets")} if job.inputs("datasets") else {}


def open_input(job: Job[Any], name: str) -> PreTrainedModel:
    """Return the model given under a name without its weights."""
    return open_model([job.input(name), *job.over(name)][-1], torch.float32, "meta")
