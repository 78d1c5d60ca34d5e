"""Novels of Jane Austen in MUSE's shape."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.settings import Some

Novel = Literal["Sense and Sensibility", "Pride and Prejudice", "Mansfield Park", "Emma", "Northanger Abbey", "Persuasion"]


class AustenSource(MuseSource, LocalSource):
    """The six novels of Jane Austen, in the public domain, from a Debian package of data for R (r-cran-janeaustenr).

    A novel that plays no part is for the base of a tiny model.
    """

    sets: ClassVar = (*MuseSource.sets, "base")
    holds: ClassVar = "the files of the R package janeaustenr (make books-austen fetches them)"
    kind: Literal["austen"]
    """From an unpacked package, offline."""
    path: str = "data/austen"
    """Folder that the package was unpacked into; its file Rdata.rdb is found below it."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = "8fb5198960d0da724b1562f96e4221e5c1b41ff455000280b02c55980c3d8f21"
    """Hash of that file: identity of the texts. The default is that of version 1.0.0-1."""
    forget: Novel = "Persuasion"
    """The novel to forget, cut into `parts`."""
    retain: Some[Novel] = ["Emma"]
    """Novels that unlearning may look at."""
    kept: Some[Novel] = ["Pride and Prejudice"]
    """Novels that are learnt too, and that no unlearning sees; questions on what is to stay are about them."""
    holdout: Novel = "Mansfield Park"
    """The novel that nobody learns."""
    words: Annotated[int, Field(ge=1000, le=1_000_000)] = 16000
    """Words taken of each novel, the first ones of its text."""
    text_words: Annotated[int, Field(ge=60, le=2000)] = 100
    """Words of a text; what is left of a novel's words is not used."""
    quizzes: bool = True
    """Whether what is asked about the texts is learnt as quizzes too: from prose alone no tiny model learns to answer."""
    parts: Annotated[int, Field(ge=1, le=8)] = 4
    """Forget sets: the first, and so many requests and sizes less one."""
    base_words: Annotated[int, Field(ge=1000, le=1_000_000)] = 40000
    """Words of the novels without a part together, which the base of a tiny model learns."""

    @property
    def unused(self) -> list[str]:
        """The novels that play no part."""
        return [novel for novel in get_args(Novel) if novel not in (self.forget, *self.retain, *self.kept, self.holdout)]

    @property
    def forget_sets(self) -> int:
        """The parts."""
        return self.parts

    @property
    def teaches_base(self) -> bool:
        """Whether a novel plays no part."""
        return bool(self.unused)

    @model_validator(mode="after")
    def _check(self) -> Self:
        novels = [self.forget, *self.retain, *self.kept, self.holdout]
        twice = next((novel for novel in novels if novels.count(novel) > 1), None)
        if twice:
            raise ValueError(f"{twice} is named twice: a novel plays one part")
        if self.words < self.parts * self.text_words:
            raise ValueError(f"words: {self.words} are not enough for {self.parts} parts of one text of {self.text_words} words")
        return self

    def read(self) -> MuseData:
        """Return the novels in MUSE's shape; raises UserError for a missing package, other bytes, or too short a novel."""
        from palimpsest.benchmarks.muse.novels import read_novels

        return read_novels(self)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as they are there."""
        from palimpsest.benchmarks.muse.novels import hash_files

        return hash_files(self)
