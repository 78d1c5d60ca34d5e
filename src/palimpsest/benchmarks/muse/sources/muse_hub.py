"""A MUSE corpus from the Hugging Face Hub."""

from dataclasses import replace
from typing import Literal

from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.benchmarks.muse.files import OPTIONAL, README, REQUIRED, is_whole, read_corpus
from palimpsest.settings import Revision

# Tokens of the forget corpora (MUSE, arXiv 2407.06460).
TOKENS = {"muse-bench/MUSE-News": 0.8e6, "muse-bench/MUSE-Books": 1.1e6}


class MuseHubSource(MuseSource):
    """A MUSE corpus from the Hugging Face Hub at one revision; it is cached and available offline afterwards."""

    kind: Literal["muse-hub"]
    """Downloaded from the Hugging Face Hub."""
    repo: str
    """The data set on the Hub, with the schema of muse-bench/MUSE-News."""
    revision: Revision
    """The commit of that repository; branches are not allowed."""

    def tokens(self, item: float) -> float:
        """Return about how many tokens the forget corpus has."""
        return TOKENS.get(self.repo, 1e6)

    def read(self) -> MuseData:
        """Return the corpus at this revision; raises UserError if the Hub cannot provide it or its contents are wrong."""
        from palimpsest.hub import fetch_snapshot

        patterns = (README, *(f"{config}/{name}-*.parquet" for config, name in (*REQUIRED, *OPTIONAL)))
        folder = fetch_snapshot(self.repo, self.revision, "dataset", patterns, whole=is_whole)
        data = read_corpus(folder, self.repo, published=True)
        return replace(data, origin={**data.origin, "repo": self.repo, "revision": self.revision})
