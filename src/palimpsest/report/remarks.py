"""What the report says beside its numbers: gaps with their reasons, and models that did not change."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from palimpsest.provenance.manifest import UNMOVED
from palimpsest.report.names import model_label
from palimpsest.report.rows import of_block
from palimpsest.report.study import Block
from palimpsest.scores.remarks import DIVERGED, MISSING

GAPS = (DIVERGED, MISSING)
KEYS = ["method", "variant", "attack", "of", "kind", "text"]


@dataclass(frozen=True)
class Told:
    """One remark on one model, with the seeds that it holds for."""

    method: str
    variant: str
    attack: str
    of: str
    kind: str
    text: str
    seeds: tuple[int, ...]

    @property
    def is_gap(self) -> bool:
        """Whether it stands in the place of numbers."""
        return self.kind in GAPS

    @property
    def label(self) -> str:
        """The model, and what was tried with it where that is no evaluation."""
        model = model_label(self.method, self.variant) if self.method else "All models"
        tried = {"attack": f", {self.attack}", "trajectory": ", trajectory", "judge": ", judge"}
        return f"{model}{tried.get(self.of, '')}"

    @property
    def where(self) -> str:
        """The seeds."""
        return f"seed{'s' * (len(self.seeds) > 1)} {', '.join(map(str, self.seeds))}"


def remarks_on(frame: pd.DataFrame, block: Block) -> list[Told]:
    """Return the remarks on a block's models, gaps first; one that several seeds share is one."""
    rows = of_block(frame, block)
    found = [
        Told(**{str(name): str(value) for name, value in zip(KEYS, key, strict=True)}, seeds=tuple(sorted(set(of["seed"]))))
        for key, of in rows.groupby(KEYS, sort=False)
    ]
    return sorted(found, key=lambda told: not told.is_gap)


def unmoved_models(remarks: Iterable[Told], attack: str) -> set[tuple[str, str]]:
    """Return the models that an attack did not change."""
    return {(told.method, told.variant) for told in remarks if told.kind == UNMOVED and told.attack == attack}
