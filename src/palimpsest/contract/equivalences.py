"""Codes of a stage that were found to make the same bytes: `equivalences.json` in the results, written by `palimpsest accept`."""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from palimpsest.contract.folders import write_whole
from palimpsest.errors import UserError
from palimpsest.provenance.canonical import canonical_json

EQUIVALENCES = "equivalences.json"


@dataclass(frozen=True)
class Equivalence:
    """Two codes of a stage, as manifests record them, and the artefacts of the first that the second made again."""

    stage: str
    made: str
    """The code that made the artefacts."""
    today: str
    """The code that made them again."""
    modules: list[str]
    """The modules that differ; empty if nobody knows."""
    sample: int
    """How many artefacts were drawn."""
    seed: int
    """The seed of the draw."""
    artefacts: dict[str, str] = field(default_factory=dict)
    """The artefacts of which both codes made the same content, and that content."""
    contrary: dict[str, str] = field(default_factory=dict)
    """The artefacts that were made again with another content, and that content: one revokes the equivalence."""

    @property
    def pair(self) -> frozenset[str]:
        """The two codes."""
        return frozenset((self.made, self.today))

    @property
    def draw(self) -> tuple[str, str, str, int, int]:
        """What was drawn: from the artefacts of which codes, how many, and with which seed."""
        return self.stage, self.made, self.today, self.sample, self.seed


class Equivalences:
    """What is known about the codes of a study's stages."""

    def __init__(self, records: Iterable[Equivalence] = ()) -> None:
        self.records = sorted(records, key=lambda each: canonical_json(asdict(each)))

    def codes(self, stage: str, code: str) -> set[str]:
        """Return the codes that count as equal to a code of a stage, itself among them.

        They are linked by records that are not revoked; a revoked record between any two of them voids all these links.
        """
        found, waiting = {code}, [code]
        while waiting:
            one = waiting.pop()
            linked = {each for record in self._of(stage) if not record.contrary and one in record.pair for each in record.pair}
            waiting += linked - found
            found |= linked
        return {code} if any(record.contrary and record.pair <= found for record in self._of(stage)) else found

    def ordered(self, stage: str, code: str) -> list[str]:
        """Return the same codes in a fixed order, the code itself first."""
        return sorted(self.codes(stage, code), key=lambda each: (each != code, each))

    def are_equal(self, stage: str, one: str, other: str) -> bool:
        """Return whether two codes of a stage count as equal."""
        return one == other or other in self.codes(stage, one)

    def were_equal(self, stage: str, one: str, other: str) -> bool:
        """Return whether two codes of a stage count or once counted as equal."""
        once = Equivalences(replace(record, contrary={}) for record in self._of(stage) if record.artefacts)
        return once.are_equal(stage, one, other)

    def evidence(self, stage: str, code: str) -> list[Equivalence]:
        """Return the records by which a code of a stage counts as equal to other codes."""
        equal = self.codes(stage, code)
        return [record for record in self._of(stage) if record.pair <= equal and not record.contrary] if len(equal) > 1 else []

    def is_revoked(self, stage: str, one: str, other: str) -> bool:
        """Return whether a remake has contradicted the equivalence of two codes of a stage."""
        return any(record.contrary and record.pair == {one, other} for record in self._of(stage))

    def added(self, record: Equivalence) -> "Equivalences":
        """Return these with one more record; the same draw again replaces the earlier one, unless that is revoked."""
        return Equivalences([*(each for each in self.records if each.draw != record.draw or each.contrary), record])

    def revoked(self, found: Equivalence) -> "Equivalences":
        """Return these with what a record found to be contrary, which revokes every record that links its two codes."""
        equal = self.codes(found.stage, found.made)
        linking = equal if found.today in equal else found.pair
        voided = [
            replace(each, contrary=each.contrary | found.contrary) if each.stage == found.stage and each.pair <= linking else each
            for each in self.records
        ]
        return Equivalences(voided if any(each.pair == found.pair and each.contrary for each in voided) else [*voided, found])

    def _of(self, stage: str) -> list[Equivalence]:
        return [record for record in self.records if record.stage == stage]


def read_equivalences(results: Path) -> Equivalences:
    """Return what the results say about codes; raises UserError for a file that is none of `palimpsest accept`."""
    path = results / EQUIVALENCES
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        return Equivalences(_record(each) for each in records)
    except FileNotFoundError:
        return Equivalences()
    except (OSError, ValueError, TypeError, AttributeError):
        raise UserError(f"{path}: not a file of `palimpsest accept`; delete it, and accept again") from None


def write_equivalences(results: Path, found: Equivalences) -> None:
    """Write what is known about codes into the results: a record per line, with the same bytes for equal records."""
    lines = [canonical_json(asdict(record)) for record in found.records]
    write_whole(results / EQUIVALENCES, ("[\n" + ",\n".join(lines) + "\n]\n").encode())


def change_equivalences(results: Path, change: Callable[[Equivalences], Equivalences]) -> None:
    """Replace what is known about codes in the results by what a function makes of it, one process at a time."""
    handle = os.open(results, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some file systems have no locks.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        write_equivalences(results, change(read_equivalences(results)))
    finally:
        os.close(handle)


def equivalences_of(out: Path) -> Equivalences:
    """Return what the results say in which an artefact lies."""
    return next((read_equivalences(folder) for folder in out.parents if (folder / EQUIVALENCES).is_file()), Equivalences())


def _record(values: Mapping[str, object]) -> Equivalence:
    record = Equivalence(**values)  # type: ignore[arg-type]  # checked in the next lines
    texts = (record.stage, record.made, record.today, *record.modules, *record.artefacts.items(), *record.contrary.items())
    flat = [part for each in texts for part in (each if isinstance(each, tuple) else (each,))]
    if not all(isinstance(each, str) for each in flat) or not isinstance(record.sample, int) or not isinstance(record.seed, int):
        raise TypeError
    if not record.artefacts and not record.contrary:
        raise ValueError
    return record
