"""A corpus of MUSE from the Hugging Face hub."""

from dataclasses import replace
from typing import Literal

from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.benchmarks.muse.files import OPTIONAL, README, REQUIRED, is_whole, read_corpus
from palimpsest.settings import Revision


class MuseHubSource(MuseSource):
    """A corpus of MUSE from the Hugging Face hub at one revision; cached, so offline afterwards."""

    kind: Literal["muse-hub"]
    """From the Hugging Face hub."""
    repo: str
    """The data set on the hub, of the schema of muse-bench/MUSE-News."""
    revision: Revision
    """The commit of that repository: identity, never a branch."""

    def read(self) -> MuseData:
        """Return the corpus at this revision; raises UserError for a hub that cannot give it, or for other contents."""
        from palimpsest.hub import fetch_snapshot

        patterns = (README, *(f"{config}/{name}-*.parquet" for config, name in (*REQUIRED, *OPTIONAL)))
        folder = fetch_snapshot(self.repo, self.revision, "dataset", patterns, whole=is_whole)
        data = read_corpus(folder, self.repo, published=True)
        return replace(data, origin={**data.origin, "repo": self.repo, "revision": self.revision})
