"""The training loop: fine-tuning, Retrain, unlearning and relearning differ only in the problem that they pass to it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from palimpsest import processes
from palimpsest.errors import Diverged
from palimpsest.interruption import postponed
from palimpsest.models.layouts import exact_layouts
from palimpsest.models.packing import Layouts, pack, plan_shares, token_nll
from palimpsest.models.precision import autocast
from palimpsest.models.settings import UsedSettings
from palimpsest.progress import track
from palimpsest.provenance.manifest import FACT, UNMOVED, Remark
from palimpsest.streams import stream
from palimpsest.training.checkpoints import Checkpoints
from palimpsest.training.gradients import Gradient, cosine, moved, put_gradient, take_gradient, total, without_conflict
from palimpsest.training.log import tell_step
from palimpsest.training.optimizer import make_optimizer
from palimpsest.training.problems import Problem, Scored, Term
from palimpsest.training.schedule import learning_rate
from palimpsest.training.settings import TrainSettings
from palimpsest.training.sharing import Sharing

logger = logging.getLogger("palimpsest")
# A gradient weight has vanished if it is at most this share of the first step's.
VANISHED = 1e-3


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
    remark: Callable[[Remark], None] = lambda remark: logger.warning("%s", remark.text),
) -> list[dict[str, Any]]:
    """Train a model in place and return the log, one entry per optimiser step.

    Raises Diverged before the first step whose loss or gradient is not finite, and at the end if a weight is not finite.
    `remark` receives facts that a reader of the results must know: a shortened warm-up, vanished gradient weights, and unchanged
    weights.

    With `scratch`, an interrupted run continues from its newest checkpoint to the same weights as an uninterrupted one:
    data order, draws and dropout come from streams named by epoch and step, so there is no generator state to restore.
    `after_epoch` is called with the model after every epoch, counted from 1, and again for epochs that a resumed run repeats.
    Several processes divide the items of every step; at the end the main process has all weights.
    """
    layouts = exact_layouts(model)
    if used.gradient_checkpointing:
        model.activation_checkpointing_enable()  # type: ignore[operator]
    model.train()
    sharing = Sharing(model, used)
    optimizer = make_optimizer(sharing.model, settings, used, seed)
    checkpoints = Checkpoints(scratch, sharing.model, optimizer) if scratch else None

    whole = problem.size // settings.batch_size
    per_epoch = whole if settings.drop_last and whole else math.ceil(problem.size / settings.batch_size)
    steps = settings.epochs * per_epoch
    steps = min(steps, settings.max_steps or steps)
    end = min(settings.last_epoch * per_epoch, steps)
    warmup_steps = _warmup_steps(round(settings.warmup_epochs * per_epoch), steps, remark)
    before = sharing.weights()
    log = checkpoints.restore() if checkpoints else []

    def look(epoch: int) -> None:
        if after_epoch:
            model.eval()
            with checkpoints.looking(log) if checkpoints else nullcontext(), sharing.whole_model(), _located(len(log), end, log):
                after_epoch(epoch)
            model.train()

    # The checkpoint may be older than the measurement after its last step.
    if log and len(log) % per_epoch == 0:
        with postponed():
            look(len(log) // per_epoch)
    remaining = range(len(log), end)
    steps_left = checkpoints.between(remaining, log) if checkpoints else remaining
    for step in track(steps_left, label, total=end, done=len(log), tell=lambda: tell_step(log[-1])):
        epoch, position = divmod(step, per_epoch)
        order = stream(seed, "order", epoch).permutation(problem.size).tolist()
        indices = order[position * settings.batch_size : (position + 1) * settings.batch_size]
        torch.manual_seed(int(stream(seed, "dropout", step).integers(2**63)) + processes.rank())

        rate = learning_rate(step, steps, warmup_steps, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        entry: dict[str, Any] = {"step": step, "epoch": epoch, "learning_rate": rate}
        with _noted(step):
            terms = [_adapted(term, log) for term in problem.terms(indices, step)]
            entry |= {f"{term.name}_weight": term.weight for term in terms if term.adapt}
            entry |= _differentiate(sharing, layouts, terms, settings.tokens_per_pass, used)
            entry["grad_norm"] = sharing.clip_gradients(settings.max_grad_norm or math.inf)
            _check_finite(entry, end, log)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        log.append(entry)
        if position == per_epoch - 1:
            if epoch == 1:
                _remark_vanished(log, label, remark)
            look(epoch + 1)
    model.eval()
    after = sharing.weights()
    if not after.are_finite:
        raise Diverged("a weight is not finite", end, end, log)
    if after == before:
        text = f"{label}: the training of {end} steps moved no weight, so the model is the one that it started from"
        remark(Remark(UNMOVED, text))
    sharing.gather_weights()
    return log


def _check_finite(entry: dict[str, Any], steps: int, log: list[dict[str, Any]]) -> None:
    """Raise Diverged for a step whose loss or gradient is not finite, before it changes any weight."""
    for name, value in entry.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Diverged(f"{name} is {value}", entry["step"] + 1, steps, [*log, entry])


@contextmanager
def _noted(step: int) -> Iterator[None]:
    """Add the number of finished steps to an error within this block, for example when memory runs out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        error.add_note(f"after step {step}")
        raise


@contextmanager
def _located(step: int, steps: int, log: list[dict[str, Any]]) -> Iterator[None]:
    """Add the step to a divergence of an evaluation within this block."""
    try:
        yield
    except Diverged as error:
        raise Diverged(error.what, step, steps, log) from None


def _warmup_steps(wanted: int, steps: int, remark: Callable[[Remark], None]) -> int:
    """Return the number of warm-up steps, which leaves at least one step at the full learning rate."""
    if wanted < steps:
        return wanted
    remark(Remark(FACT, f"the warm-up of {wanted} steps is shortened to {steps - 1}, since the training has {steps}"))
    return steps - 1


def _remark_vanished(log: list[dict[str, Any]], label: str, remark: Callable[[Remark], None]) -> None:
    """Remark if the newest epoch's median gradient weight is at most `VANISHED` times that of the first step."""
    epoch = log[-1]["epoch"]
    weights = [weight for entry in log if entry["epoch"] == epoch for weight in entry.get("weights", ())]
    if not weights:
        return
    first, last = median(log[0]["weights"]), median(weights)
    if abs(last) <= VANISHED * abs(first):
        text = (
            f"{label}: the median gradient weight of the forget items fell from {first:.2g} at the first step to {last:.2g} in "
            f"epoch {epoch + 1}, so the rest of the training forgets almost nothing; a smaller beta lets it forget longer"
        )
        remark(Remark(FACT, text))


def _adapted(term: Term, log: Sequence[dict[str, Any]]) -> Term:
    """Return a term with the weight that it has after the steps of the log."""
    return replace(term, weight=term.adapt(log[-1])) if term.adapt and log else term


def _differentiate(
    sharing: Sharing, layouts: Layouts, terms: Sequence[Term], tokens_per_pass: int, used: UsedSettings
) -> dict[str, Any]:
    """Add the gradient of a step's terms and return the entries for the log, as `_backward`.

    If a term asks for more than its plain gradient, each term's gradient is computed alone.
    """
    if not any(term.radius or term.yields for term in terms):
        return _backward(sharing, layouts, terms, tokens_per_pass, used)
    entry: dict[str, Any] = {}
    gradients: list[Gradient] = []
    for term in terms:
        alone = [replace(term, weight=1.0)]
        entry |= _backward(sharing, layouts, alone, tokens_per_pass, used)
        gradient = take_gradient(sharing)
        if term.radius:
            with moved(sharing, gradient, term.radius):
                _backward(sharing, layouts, alone, tokens_per_pass, used)
            gradient = take_gradient(sharing)
        gradients.append(gradient)
    for number, term in enumerate(terms):
        if term.yields:
            others = total([(1.0, other) for place, other in enumerate(gradients) if place != number])
            entry["cosine"] = cosine(sharing, gradients[number], others)
            gradients[number] = without_conflict(sharing, gradients[number], others)
    put_gradient(sharing, total([(term.weight, gradient) for term, gradient in zip(terms, gradients, strict=True)]))
    return entry


def _backward(
    sharing: Sharing, layouts: Layouts, terms: Sequence[Term], tokens_per_pass: int, used: UsedSettings
) -> dict[str, Any]:
    """Add the gradient of a step's terms, pass by pass, and return the entries for the log.

    For each term: its mean over items before weighting, and the gradient weights of the items that it names.
    """
    shares = [plan_shares(term.items, tokens_per_pass, layouts, processes.count()) for term in terms]
    passes = [[(term, run) for term, runs in zip(terms, own, strict=True) for run in runs] for own in zip(*shares, strict=True)]
    mine, most = passes[processes.rank()], max(map(len, passes))
    done = []
    for number in range(most):
        with sharing.accumulation(last=number == most - 1):
            if number < len(mine):
                term, run = mine[number]
                done.append((term.name, *_pass(sharing, layouts, term, run, term.weight, used)))
            else:
                # All processes take part in a pass; a process without remaining items contributes an item with weight 0.
                _pass(sharing, layouts, terms[0], slice(0, 1), 0.0, used)
    entry: dict[str, Any] = {}
    everyone = list(chain.from_iterable(processes.gather(done)))
    for term in terms:
        entry[term.name] = 0.0
        weights: list[float] = []
        for name, loss, slopes in everyone:
            if name == term.name:
                entry[name] += loss
                weights += slopes
        if term.indices is not None and weights:
            entry |= {"items": list(term.indices), "weights": weights}
    return entry


def _pass(
    sharing: Sharing, layouts: Layouts, term: Term, items: slice, weight: float, used: UsedSettings
) -> tuple[float, list[float]]:
    """Add the gradient of some items of a term; return their part of the mean, and their gradient weights for the log."""
    row = pack(term.items[items], layouts).to(sharing.device)
    # Checkpointed layers are cast again anyway; the cache would keep a complete bf16 copy of the weights.
    with autocast(sharing.device, used, cached=not used.gradient_checkpointing):
        logits = sharing.label_logits(row)
        shape = (items.stop - items.start, -1)
        each = token_nll(logits, row)
        nll = row.per_answer(each).view(shape)
        tokens = torch.tensor(row.lengths, device=nll.device, dtype=nll.dtype).view(shape)
        losses = term.loss(Scored(items, row, logits, nll, tokens, each))
    slopes: list[float] = []
    if term.indices is not None:
        # Each loss depends only on its own item's NLL, where this graph ends: no pass through the model is needed.
        (gradient,) = torch.autograd.grad(losses.sum(), nll, retain_graph=True, allow_unused=True)
        # A loss that depends only on logits has no gradient weights.
        slopes = [] if gradient is None else (-gradient[:, 0]).tolist()
    summed = losses.sum() / len(term.items)
    sharing.backward(weight * summed)
    return summed.item(), slopes
