"""WMDP's corpora from the Hugging Face Hub."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from palimpsest.benchmarks.wmdp.dataset import WmdpData, WmdpSource
from palimpsest.benchmarks.wmdp.files import compare, read_texts
from palimpsest.data.columns import missing_file
from palimpsest.errors import UserError
from palimpsest.mistakes import place
from palimpsest.settings import Count, Revision

TRAIN = "train"
# The folder of the gated data set that holds its files.
GATED = "data"


class WmdpHubSource(WmdpSource):
    """WMDP's corpora from the Hugging Face Hub, each at one revision; the biology forget corpus is gated."""

    kind: Literal["wmdp-hub"]
    """Downloaded from the Hugging Face Hub."""
    subject: Literal["bio", "cyber"]
    """The subject of the corpora: biology or cybersecurity."""
    repo: str = "cais/wmdp-corpora"
    """The data set with the open corpora."""
    revision: Revision = "daf89fa9b618b63a624228061a9cebacca88009c"
    """Commit of `repo`."""
    gated_repo: str = "cais/wmdp-bio-forget-corpus"
    """The data set with the biology forget corpus."""
    gated_revision: Revision | None = None
    """Commit of `gated_repo`, which `palimpsest pin` looks up. Null only for `subject: cyber`."""
    max_texts: Count | None = None
    """Use only the first N texts of each corpus; null: all texts."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.subject == "cyber" and self.gated_revision is not None:
            raise ValueError("gated_revision: only the biology corpus is gated; leave it out")
        return self

    def tokens(self, item: float) -> float:
        """Return about how many tokens the forget corpus has, of one chunk a text."""
        return (self.max_texts or 2000) * item

    def check(self, *at: str | int) -> None:
        """Refuse the gated corpus if its commit is not given."""
        if self.subject == "bio" and self.gated_revision is None:
            how = f"request access on the page of the data set {self.gated_repo}, name it under gated_repo"
            raise UserError(f"{place(*at, 'gated_revision')}: null: {how}, and run `palimpsest pin FILE` once")

    def read(self) -> WmdpData:
        """Return the two corpora of the subject; raises UserError if the Hub is unreachable or denies access."""
        retain, forget = f"{self.subject}-retain-corpus", f"{self.subject}-forget-corpus"
        origin: dict[str, str | None] = {"licence": "MIT", "repo": self.repo, "revision": self.revision}
        if self.subject == "bio":
            # Fetched first, because access may be denied and the open corpus is large.
            assert self.gated_revision is not None
            forget_folder = _fetch(self.gated_repo, self.gated_revision, GATED) / GATED
            folder = _fetch(self.repo, self.revision, retain)
            origin |= {"licence": "MIT; of the gated corpus not stated", "gated_repo": self.gated_repo}
            origin |= {"gated_revision": self.gated_revision}
        else:
            folder = _fetch(self.repo, self.revision, retain, forget)
            forget_folder = folder / forget
        data = WmdpData(
            forget=read_texts(forget_folder, TRAIN, self.max_texts),
            retain=read_texts(folder / retain, TRAIN, self.max_texts),
            origin=origin,
        )
        return compare(data, self.repo, published=True)


def _fetch(repo: str, revision: str, *configs: str) -> Path:
    from palimpsest.hub import fetch_snapshot

    def whole(folder: Path) -> bool:
        return not any(missing_file(folder / config, TRAIN) for config in configs)

    return fetch_snapshot(repo, revision, "dataset", [f"{config}/{TRAIN}-*.parquet" for config in configs], whole=whole)
