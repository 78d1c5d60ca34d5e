"""LUME's tasks from the Hugging Face Hub."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from palimpsest.benchmarks.lume.dataset import DATA, MEMBERSHIP, SETS, Fold, LumeData, LumeSource, read_lume
from palimpsest.data.columns import missing_file
from palimpsest.errors import UserError
from palimpsest.mistakes import place
from palimpsest.settings import Revision


class LumeHubSource(LumeSource):
    """The data set of SemEval-2025, task 4, from the Hugging Face Hub at one revision; access must be requested."""

    kind: Literal["lume-hub"]
    """Downloaded from the Hugging Face Hub."""
    repo: str = "llmunlearningsemeval2025organization/semeval25-unlearning-dataset-public"
    """The data set on the Hub."""
    revision: Revision | None = None
    """Its commit, which `palimpsest pin` looks up."""
    fold: Fold = "train"
    """The items that are learnt and forgotten."""

    def check(self, *at: str | int) -> None:
        """Refuse a data set without its commit."""
        if self.revision is None:
            how = f"request access on the page of the data set {self.repo}, and run `palimpsest pin FILE` once"
            raise UserError(f"{place(*at, 'revision')}: null: {how}")

    def read(self) -> LumeData:
        """Return the items of the fold; raises UserError if the Hub is unreachable or denies access."""
        from palimpsest.hub import fetch_snapshot

        assert self.revision is not None
        names = [f"{name}_{self.fold}" for name in SETS]

        def whole(folder: Path) -> bool:
            return not any(missing_file(folder / DATA, name) for name in names)

        patterns = [*(f"{DATA}/{name}-*.parquet" for name in names), f"{MEMBERSHIP}/*.jsonl"]
        folder = fetch_snapshot(self.repo, self.revision, "dataset", patterns, whole=whole)
        data = read_lume(folder, self.fold, self.repo, published=True)
        return replace(data, origin={**data.origin, "repo": self.repo, "revision": self.revision})
