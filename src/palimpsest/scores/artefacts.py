"""The measurements of a model on disk: its evaluation, its trajectory, its attacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from palimpsest.errors import Diverged
from palimpsest.evaluation.items import TABLE
from palimpsest.provenance.manifest import MANIFEST, Remark, read_manifest, read_remarks

# The measurements of a model.
Measurement = Literal["evaluation", "judge", "attack", "trajectory"]


@dataclass(frozen=True)
class Artefact:
    """The folder of an artefact, and the columns that identify it."""

    identity: dict[str, Any]
    directory: Path

    @property
    def diverged(self) -> Diverged | None:
        """The divergence of the model, if any: its numbers are then missing or end early."""
        return Diverged.from_record(record) if (record := self._manifest.get("diverged")) else None

    @property
    def remarks(self) -> list[Remark]:
        """The remarks of its stage."""
        return read_remarks(self._manifest)

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return read_manifest(self.directory / MANIFEST)


@dataclass(frozen=True)
class Measured(Artefact):
    """An artefact with a table of items."""

    of: Measurement
    suites: Sequence[str]
    """The suites that score it: one, or for an attack those that score its losses."""

    def tables(self) -> dict[str, Path]:
        """Return the table for each suite that scores it; empty if the model diverged before there was one."""
        path = self.directory / TABLE
        if (self.diverged and self.of != "trajectory") or not path.exists():
            return {}
        return dict.fromkeys(self.suites, path)
