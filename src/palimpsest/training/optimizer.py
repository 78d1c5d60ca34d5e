"""AdamW for training, with moments in the precision of the weights or in 8 bits."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from palimpsest.errors import UserError
from palimpsest.models.settings import EIGHT_BIT

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from palimpsest.models.settings import UsedSettings
    from palimpsest.training.settings import TrainSettings


def check_package(optimizer: str) -> None:
    """Raise UserError if the package of an optimiser is not installed."""
    if optimizer == EIGHT_BIT and find_spec("bitsandbytes") is None:
        raise UserError(f"optimizer: {EIGHT_BIT} needs the package bitsandbytes: pip install -e '.[{EIGHT_BIT}]'")


def make_optimizer(model: nn.Module, settings: TrainSettings, used: UsedSettings, seed: int) -> Optimizer:
    """Return the optimiser of a model's trained weights; the seed decides how bf16 weights are rounded at random."""
    check_package(used.optimizer)
    groups = _parameter_groups(model, settings.weight_decay)
    if used.optimizer == EIGHT_BIT:
        from palimpsest.training.eight_bit import EightBitAdamW

        return EightBitAdamW(groups, lr=settings.learning_rate, eps=settings.adam_epsilon, seed=seed)
    from torch.optim import AdamW

    # The fused kernel needs one copy of all weights less on a GPU, and is the fastest on a CPU.
    return AdamW(groups, lr=settings.learning_rate, eps=settings.adam_epsilon, fused=True)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Apply weight decay only to matrices, not to biases and norms, like the Hugging Face trainer."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
