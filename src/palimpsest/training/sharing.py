"""Train one model in the processes of a job: each has a copy (DDP, by accelerate), or each has a shard of the weights (FSDP).

Shards, with the gradients and moments that belong to them, can stay in the memory of the host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from palimpsest import processes
from palimpsest.errors import UserError
from palimpsest.models.packing import Pass, label_logits
from palimpsest.models.settings import MIXED, UsedSettings


class Weights(NamedTuple):
    """A summary of trained weights: a sum of each weight's bits, to detect any change, and whether all weights are finite."""

    sums: tuple[int, ...]
    are_finite: bool


class Sharing:
    """A model prepared for training in this job's processes; `model` is the module to train (unchanged with one process)."""

    def __init__(self, model: nn.Module, used: UsedSettings) -> None:
        processes.connect()
        # Mixed precision is handled here, because accelerate would change the model's forward for `after_epoch` too.
        several_on_cpu = processes.count() > 1 and not torch.cuda.is_available()
        self.accelerator = Accelerator(mixed_precision="no", cpu=several_on_cpu)
        if self.accelerator.num_processes != processes.count():
            raise UserError("training: start several processes with palimpsest.launch, not with accelerate launch")
        self.device: torch.device = self.accelerator.device
        self._parts = _shard(model, self.device, is_mixed=used.precision == MIXED) if processes.is_sharded() else []
        self.model: nn.Module = model if self._parts else self.accelerator.prepare(model)

    def accumulation(self, *, last: bool) -> AbstractContextManager[Any]:
        """Return the context of one pass of a step, forward and backward.

        FSDP gathers the weights in the first pass of a step, and DDP synchronises the gradients after the last.
        """
        for part in self._parts:
            part.unshard()
            part.set_reshard_after_backward(last, recurse=False)
        return nullcontext() if last or self._parts else self.accelerator.no_sync(self.model)

    def label_logits(self, row: Pass) -> Tensor:
        """Return the logits that predict the labels of a pass, shape (N, vocabulary).

        The backward pass of each call of a sharded model waits for all processes, so those with fewer calls make up for them.
        """
        missing = max(processes.gather(len(row.calls))) - len(row.calls) if self._parts else 0
        logits = label_logits(self.model, row)
        for _ in range(missing):
            logits = logits + 0 * self.model(**row.calls[0]).logits.sum()
        return logits

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss to the step's gradient, which is a sum over all processes."""
        # DDP and FSDP divide the sum by the number of processes.
        self.accelerator.backward(loss * processes.count() if processes.count() > 1 else loss)

    def clip_gradients(self, max_norm: float) -> float:
        """Clip the gradients to a norm and return their norm before clipping."""
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), max_norm)
        return float(norm.full_tensor() if self._parts else norm)

    def trained(self) -> list[nn.Parameter]:
        """Return the weights that are trained; of a sharded model, with the values of this process's shard."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def inner(self, one: Sequence[Tensor | None], other: Sequence[Tensor | None]) -> float:
        """Return the inner product of two gradients, each with one part per trained weight; a missing part is zero."""
        pairs: list[Any] = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
        own = [(a.to_local(), b.to_local()) if self._parts else (a, b) for a, b in pairs]
        products = [torch.dot(a.flatten().float(), b.flatten().float()).double() for a, b in own]
        product = float(torch.stack(products).sum()) if products else 0.0
        return sum(processes.gather(product)) if self._parts else product

    def weights(self) -> Weights:
        """Return a fingerprint of the weights of all processes."""
        trained: list[Any] = [*self.trained()]
        own = [parameter.to_local() if self._parts else parameter for parameter in trained]
        sums = tuple(int(_bits(weight).sum(dtype=torch.int64)) for weight in own)
        parts = processes.gather(Weights(sums, all(bool(weight.isfinite().all()) for weight in own)))
        return Weights(tuple(chain.from_iterable(part.sums for part in parts)), all(part.are_finite for part in parts))

    @contextmanager
    def whole_model(self) -> Iterator[None]:
        """Gather all weights in every process within this block, so that each process can use the model."""
        for part in self._parts:
            part.unshard()
        try:
            yield
        finally:
            # Also before a checkpoint that an interruption saves.
            for part in self._parts:
                part.reshard()

    def gather_weights(self) -> None:
        """Gather all weights in the main process's model; training is finished."""
        if not self._parts:
            return
        gathered: dict[Any, nn.Parameter] = {}
        for module in self.model.modules():
            own: list[tuple[str, Any]] = list(module.named_parameters(recurse=False))
            for name, weight in own:
                # Tied weights remain tied.
                if weight not in gathered:
                    whole = nn.Parameter(weight.full_tensor(), weight.requires_grad)
                    gathered[weight] = whole if processes.is_main() else weight
                module.register_parameter(name, gathered[weight])


def _bits(weight: Tensor) -> Tensor:
    """Return the bits of a weight as integers."""
    return weight.detach().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[weight.element_size()])


def _shard(model: Any, device: torch.device, *, is_mixed: bool) -> list[Any]:
    """Shard every weight over the processes; return a module of each part that is gathered as one.

    Under bf16-mixed, the weights of matrix products are gathered in bf16; autocast casts them anyway. This uses torch's FSDP,
    because accelerate's would silently train a copy in each process if there is no GPU.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

    place = CPUOffloadPolicy(pin_memory=device.type == "cuda") if processes.is_offloaded() else OffloadPolicy()
    mesh = init_device_mesh(device.type, (processes.count(),))
    shard: Any = partial(fully_shard, mesh=mesh, reshard_after_forward=False, offload_policy=place)
    half = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    layers = [module for module in model.modules() if type(module).__name__ in (model._no_split_modules or ())]
    left = _matrices(model) if is_mixed else set()
    parts: list[Any] = []
    for module in [*layers, model]:
        if own := [each for each in module.modules() if each in left]:
            left.difference_update(own)
            parts.append(shard(own, mp_policy=half)[0])
        parts.append(shard(module))
    # Weights stay gathered until the backward pass, which need not gather any ahead. Torch would, in the order of all forward
    # passes: between epochs it differs between processes, and then each waits for another one.
    for part in parts:
        part.set_modules_to_backward_prefetch([part])
    # Otherwise torch takes the first module that runs for the root, and generation with adapters runs only those inside.
    parts[-1]._get_fsdp_state()._lazy_init()
    return parts


def _matrices(model: nn.Module) -> set[nn.Module]:
    """Return the linear layers whose weights no other module uses."""
    users = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return {layer for layer in layers if all(users[id(weight)] == 1 for weight in layer.parameters())}
