"""What was measured of a model as it lies on disk: its evaluation, its trajectory, its attacks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from palimpsest.errors import Diverged
from palimpsest.evaluation.items import TABLE
from palimpsest.provenance.manifest import MANIFEST, Remark, read_manifest, read_remarks

# What was tried with a model.
Attempt = Literal["evaluation", "attack", "trajectory"]


@dataclass(frozen=True)
class Artefact:
    """The directory of an artefact, and the columns that identify it."""

    identity: dict[str, Any]
    directory: Path

    @property
    def diverged(self) -> Diverged | None:
        """How it diverged, if it did: then its numbers are missing or end early."""
        return Diverged.from_record(record) if (record := self._manifest.get("diverged")) else None

    @property
    def remarks(self) -> list[Remark]:
        """What its stage remarked."""
        return read_remarks(self._manifest)

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        return read_manifest(self.directory / MANIFEST)


@dataclass(frozen=True)
class Measured(Artefact):
    """An artefact with tables of items, of one suite or of several."""

    of: Attempt
    suites: Sequence[str]
    """The suites by which it is scored; an evaluation may lack some."""

    def tables(self) -> dict[str, Path]:
        """Return the table of each suite that there is: an evaluation has a folder per suite; others have one table for all."""
        if self.diverged and self.of != "trajectory":
            return {}
        paths = {suite: self.directory / (suite if self.of == "evaluation" else "") / TABLE for suite in self.suites}
        return {suite: path for suite, path in paths.items() if path.exists()}
