"""Read checkpoints without executing code: torch stores part of them as pickles, of which only known classes are accepted."""

from __future__ import annotations

import io
import pickle
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.planner import ReadItem
from torch.distributed.checkpoint.state_dict_loader import load

from palimpsest.errors import UserError

METADATA = "torch.distributed.checkpoint.metadata"
KNOWN = {
    ("pathlib", "PosixPath"),
    ("pathlib._local", "PosixPath"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        (METADATA, name)
        for name in (
            "BytesStorageMetadata",
            "ChunkStorageMetadata",
            "Metadata",
            "MetadataIndex",
            "StorageMeta",
            "TensorProperties",
            "TensorStorageMetadata",
            "_MEM_FORMAT_ENCODING",
        )
    ),
    *(("torch", name) for name, value in vars(torch).items() if isinstance(value, torch.dtype)),
}


def load_checkpoint(state: dict[str, Any], folder: Path) -> None:
    """Load a checkpoint into a state dict in place; raises UserError if it is damaged or contains foreign objects."""
    try:
        # The table of contents has only known classes, so torch may read it.
        Known(io.BytesIO((folder / ".metadata").read_bytes())).load()
    except Exception as error:  # a damaged pickle may raise any error
        raise _broken(folder, error) from error
    try:
        load(state, storage_reader=FileSystemReader(folder), planner=Planner())
    except CheckpointException as error:
        raise _broken(folder, next(iter(error.failures.values()))[0]) from error


def _broken(folder: Path, error: BaseException) -> UserError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(f"{folder}: not a whole checkpoint of a training ({reason}); delete that folder and run again")


class Planner(DefaultLoadPlanner):
    """Accept values other than tensors only if torch's restricted unpickler does."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        """Store a value; raises UnpicklingError if it is not a plain value."""
        torch.load(value, weights_only=True)
        value.seek(0)
        super().load_bytes(read_item, value)


def _member(of: Any, name: str) -> Any:
    """Return a member of an enumeration, which Python 3.11.2 and others pickle as getattr(class, name)."""
    if not (isinstance(of, type) and issubclass(of, Enum) and name in of.__members__):
        raise pickle.UnpicklingError(f"it names getattr of {of!r}, which no checkpoint has")
    return of[name]


class Known(pickle.Unpickler):
    """Construct only the classes of a table of contents."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a known class; raises UnpicklingError for others."""
        if (module, name) == ("builtins", "getattr"):
            return _member
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint has")
        return super().find_class(module, name)
