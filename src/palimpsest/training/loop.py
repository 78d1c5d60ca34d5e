"""The one training loop: fine-tuning, Retrain, unlearning and relearning differ only in the problem they give it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from palimpsest.errors import UserError
from palimpsest.models.packing import label_logits, pack, plan_passes, token_nll
from palimpsest.models.settings import UsedSettings
from palimpsest.progress import track
from palimpsest.streams import stream
from palimpsest.training.checkpoints import Checkpoints
from palimpsest.training.problems import Problem, Scored, Term
from palimpsest.training.schedule import learning_rate
from palimpsest.training.settings import TrainSettings


def train(
    model: nn.Module,
    problem: Problem,
    settings: TrainSettings,
    used: UsedSettings,
    *,
    seed: int,
    label: str,
    scratch: Path | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Train a model in place and return the log, one entry an optimiser step.

    With `scratch`, an interrupted run continues from its newest checkpoint to the same weights as an undisturbed one:
    data order, draws and dropout come from streams named by epoch and step, so there is no generator state to restore.
    `after_epoch` sees the model after every epoch, counted from 1; what a resumed run repeats, it sees again.
    """
    # Mixed precision is not left to accelerate, which would change the model's forward for `after_epoch` too.
    accelerator = Accelerator(mixed_precision="no")
    if accelerator.num_processes > 1:
        raise UserError("training: one process trains one model; start it without torchrun or accelerate launch")
    if used.gradient_checkpointing:
        model.activation_checkpointing_enable()  # type: ignore[operator]
    model.train()
    # The default on a GPU holds one more copy of all weights during a step.
    groups, fused = _parameter_groups(model, settings.weight_decay), torch.cuda.is_available()
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)
    model, optimizer = accelerator.prepare(model, optimizer)
    checkpoints = Checkpoints(scratch, accelerator) if scratch else None

    per_epoch = math.ceil(problem.size / settings.batch_size)
    steps, end = settings.epochs * per_epoch, settings.last_epoch * per_epoch
    if settings.max_steps is not None and settings.max_steps < end:
        steps = end = settings.max_steps
    warmup_steps = round(settings.warmup_epochs * per_epoch)
    log = checkpoints.restore() if checkpoints else []
    for step in track(range(len(log), end), label, total=end, done=len(log)):
        epoch, position = divmod(step, per_epoch)
        order = stream(seed, "order", epoch).permutation(problem.size).tolist()
        indices = order[position * settings.batch_size : (position + 1) * settings.batch_size]
        torch.manual_seed(int(stream(seed, "dropout", step).integers(2**63)))

        rate = learning_rate(step, steps, warmup_steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        entry: dict[str, Any] = {"step": step, "epoch": epoch, "learning_rate": rate}
        for term in problem.terms(indices, step):
            entry[term.name], weights = _backward(accelerator, model, term, settings.tokens_per_pass, used)
            if term.indices is not None:
                entry |= {"items": list(term.indices), "weights": weights}
        norm = accelerator.clip_grad_norm_(model.parameters(), settings.max_grad_norm or math.inf)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        log.append(entry | {"grad_norm": float(norm)})
        # Before the checkpoint, so that a run resumed from the end of an epoch has not missed it.
        if after_epoch and position == per_epoch - 1:
            model.eval()
            after_epoch(epoch + 1)
            model.train()
        if checkpoints:
            checkpoints.save_if_due(log)
    model.eval()
    return log


def _backward(
    accelerator: Accelerator, model: nn.Module, term: Term, tokens_per_pass: int, used: UsedSettings
) -> tuple[float, list[float]]:
    """Add the gradient of a term, pass by pass; return its mean over items before weighting, and the items' gradient weights."""
    total = 0.0
    weights: list[float] = []
    for items in plan_passes(term.items, tokens_per_pass):
        row = pack(term.items[items]).to(accelerator.device)
        # Checkpointed layers are cast anew anyway; the cache would keep a whole copy of the weights in bf16.
        mixed, cached = used.precision == "bf16-mixed", not used.gradient_checkpointing
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=mixed, cache_enabled=cached):
            logits = label_logits(model, row)
            shape = (items.stop - items.start, -1)
            nll = row.per_answer(token_nll(logits, row)).view(shape)
            tokens = torch.tensor(row.lengths, device=nll.device, dtype=nll.dtype).view(shape)
            losses = term.loss(Scored(items, row, logits, nll, tokens))
        if term.indices is not None:
            # Each loss reads its own item's NLL alone, and the graph ends there: no pass through the model.
            (slopes,) = torch.autograd.grad(losses.sum(), nll, retain_graph=True)
            weights += (-slopes[:, 0]).tolist()
        summed = losses.sum() / len(term.items)
        accelerator.backward(term.weight * summed)
        total += summed.item()
    return total, weights


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices only, as the Hugging Face trainer does: no biases, no norms."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
