"""TOFU from the Hugging Face Hub at a pinned revision."""

from dataclasses import replace
from typing import ClassVar, Literal

from palimpsest.benchmarks.tofu.dataset import Dataset
from palimpsest.benchmarks.tofu.files import FilesSource, read_tofu
from palimpsest.settings import Revision


class HubSource(FilesSource):
    """TOFU from the Hugging Face Hub at one revision; it is cached and available offline afterwards.

    The Hub has no refusals: 40 of our own are used.
    """

    is_published: ClassVar = True
    kind: Literal["hub"]
    """Downloaded from the Hugging Face Hub."""
    repo: str = "locuslab/TOFU"
    """The data set on the Hub, with the schema of locuslab/TOFU."""
    revision: Revision = "324592d84ae4f482ac7249b9285c2ecdb53e3a68"
    """The commit of that repository; branches are not allowed."""

    def read(self) -> Dataset:
        """Return TOFU at this revision; raises UserError if the Hub is unreachable or denies access."""
        from palimpsest.hub import fetch_snapshot

        folder = fetch_snapshot(
            self.repo,
            self.revision,
            "dataset",
            tuple(self.files),
            whole=lambda path: all((path / name).is_file() for name in self.files),
        )
        dataset = read_tofu(folder, self)
        return replace(dataset, origin=dataset.origin | {"repo": self.repo, "revision": self.revision})
