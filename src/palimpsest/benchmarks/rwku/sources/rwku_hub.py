"""RWKU's people from the Hugging Face Hub."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from palimpsest.benchmarks.rwku.dataset import ALL, RwkuData, RwkuSource
from palimpsest.errors import UserError
from palimpsest.mistakes import place
from palimpsest.settings import Revision


class RwkuHubSource(RwkuSource):
    """RWKU's people from the Hugging Face Hub at one revision."""

    kind: Literal["rwku-hub"]
    """Downloaded from the Hugging Face Hub."""
    repo: str = "jinzhuoran/RWKU"
    """The data set on the Hub."""
    revision: Revision | None = None
    """Its commit, which `palimpsest pin` looks up."""

    def check(self, *at: str | int) -> None:
        """Refuse a data set without its commit."""
        if self.revision is None:
            raise UserError(f"{place(*at, 'revision')}: null: run `palimpsest pin FILE` once")

    def read(self) -> RwkuData:
        """Return the people at this revision; raises UserError if the Hub cannot provide the files or they are broken."""
        from palimpsest.hub import fetch_snapshot

        assert self.revision is not None
        files = [f"{ALL}/{name}" for name in self.files]

        def whole(folder: Path) -> bool:
            return all((folder / name).is_file() for name in files)

        data = self.read_from(fetch_snapshot(self.repo, self.revision, "dataset", files, whole=whole))
        return replace(data, origin={**data.origin, "repo": self.repo, "revision": self.revision})
