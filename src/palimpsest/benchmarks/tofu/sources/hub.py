"""TOFU from the Hugging Face hub at a pinned revision."""

from dataclasses import replace
from typing import ClassVar, Literal

from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.files import FILES, FilesSource, read_tofu
from palimpsest.settings import Revision


class HubSource(FilesSource):
    """TOFU from the Hugging Face hub at one revision; cached, so offline afterwards."""

    is_published: ClassVar = True
    kind: Literal["hub"]
    """From the Hugging Face hub."""
    repo: str = "locuslab/TOFU"
    """The data set on the hub, of the schema of locuslab/TOFU."""
    revision: Revision = "324592d84ae4f482ac7249b9285c2ecdb53e3a68"
    """The commit of that repository: identity, never a branch."""

    def read(self) -> Dataset:
        """Return TOFU at this revision; raises UserError for a hub that cannot or may not give it."""
        from palimpsest.hub import fetch_snapshot

        folder = fetch_snapshot(
            self.repo, self.revision, "dataset", tuple(FILES), whole=lambda path: all((path / name).is_file() for name in FILES)
        )
        dataset = read_tofu(folder, self)
        return replace(dataset, origin=dataset.origin | {"repo": self.repo, "revision": self.revision})
