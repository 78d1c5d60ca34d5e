"""How the processes of a job train one model: each a copy of it (DDP, by accelerate), or each a part of its weights (FSDP)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from palimpsest import processes
from palimpsest.errors import UserError


class Weights(NamedTuple):
    """Trained weights in short: a sum of the bits of each, which any change changes, and whether all are finite."""

    sums: tuple[int, ...]
    are_finite: bool


class Sharing:
    """A model made ready to be trained by this job's processes; `model` is what to train, with one process the model itself."""

    def __init__(self, model: nn.Module) -> None:
        processes.connect()
        # Mixed precision is not left to accelerate, which would change the model's forward for `after_epoch` too.
        several_on_cpu = processes.count() > 1 and not torch.cuda.is_available()
        self.accelerator = Accelerator(mixed_precision="no", cpu=several_on_cpu)
        if self.accelerator.num_processes != processes.count():
            raise UserError("training: several processes are started by palimpsest.launch, not by accelerate launch")
        self.device: torch.device = self.accelerator.device
        self._parts = _shard(model, self.device) if processes.is_sharded() else []
        self.model: nn.Module = model if self._parts else self.accelerator.prepare(model)

    def accumulation(self, *, last: bool) -> AbstractContextManager[Any]:
        """Return the context of one of a step's passes, forward and backward: copies sum their gradients after the last."""
        return nullcontext() if last or self._parts else self.accelerator.no_sync(self.model)

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradient to the step's, which are the sum over all processes in the end."""
        # DDP and FSDP make the mean of it.
        self.accelerator.backward(loss * processes.count() if processes.count() > 1 else loss)

    def clip_gradients(self, max_norm: float) -> float:
        """Clip the gradients to a norm, and return what it was."""
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), max_norm)
        return float(norm.full_tensor() if self._parts else norm)

    def weights(self) -> Weights:
        """Return what tells these weights from others, over all processes."""
        trained: list[Any] = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        own = [parameter.to_local() if self._parts else parameter for parameter in trained]
        sums = tuple(int(_bits(weight).sum(dtype=torch.int64)) for weight in own)
        parts = processes.gather(Weights(sums, all(bool(weight.isfinite().all()) for weight in own)))
        return Weights(tuple(chain.from_iterable(part.sums for part in parts)), all(part.are_finite for part in parts))

    @contextmanager
    def whole_model(self) -> Iterator[None]:
        """Give every process all weights for a while, so that each can use the model by itself."""
        for part in self._parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        yield
        for part in self._parts:
            # The outermost, needed first in the backward pass, stays as it is after the forward pass.
            part.set_reshard_after_forward(part is not self.model, recurse=False)
            part.reshard()

    def gather_weights(self) -> None:
        """Give the main process's model all weights for good; it is trained no further."""
        if not self._parts:
            return
        gathered: dict[Any, nn.Parameter] = {}
        for module in self.model.modules():
            own: list[tuple[str, Any]] = list(module.named_parameters(recurse=False))
            for name, weight in own:
                # Tied weights stay tied.
                if weight not in gathered:
                    whole = nn.Parameter(weight.full_tensor(), weight.requires_grad)
                    gathered[weight] = whole if processes.is_main() else weight
                module.register_parameter(name, gathered[weight])


def _bits(weight: Tensor) -> Tensor:
    """Return the bits of a weight as whole numbers."""
    return weight.detach().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[weight.element_size()])


def _shard(model: nn.Module, device: torch.device) -> list[Any]:
    """Leave each process a part of every weight; return the modules that gather theirs when they run, the model the last.

    Torch's own: accelerate's FSDP would, where there is no GPU, train a copy in each process without a word.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (processes.count(),))
    layers = [module for module in model.modules() if type(module).__name__ in (model._no_split_modules or ())]  # type: ignore[operator]
    for module in [*layers, model]:
        fully_shard(module, mesh=mesh)
    return [*layers, model]
