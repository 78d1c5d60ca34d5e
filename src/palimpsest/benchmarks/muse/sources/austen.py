"""Novels of Jane Austen in MUSE's format."""

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from palimpsest.benchmarks.base import LocalSource
from palimpsest.benchmarks.muse.dataset import MuseData, MuseSource
from palimpsest.settings import Some

Novel = Literal["Sense and Sensibility", "Pride and Prejudice", "Mansfield Park", "Emma", "Northanger Abbey", "Persuasion"]


class AustenSource(MuseSource, LocalSource):
    """The six novels of Jane Austen, in the public domain, from a Debian package with data for R (r-cran-janeaustenr).

    The base of a tiny model is trained on the novels that no other key names.
    """

    sets: ClassVar = (*MuseSource.sets, "base")
    holds: ClassVar = "the files of the R package janeaustenr (make books-austen fetches them)"
    kind: Literal["austen"]
    """Read from an unpacked package, offline."""
    path: str = "data/austen"
    """The folder that the package was unpacked into; the file Rdata.rdb is searched below it."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = "8fb5198960d0da724b1562f96e4221e5c1b41ff455000280b02c55980c3d8f21"
    """Hash of Rdata.rdb, which identifies the texts. The default is the hash of version 1.0.0-1."""
    forget: Novel = "Persuasion"
    """The novel to forget, divided into `parts`."""
    retain: Some[Novel] = ["Emma"]
    """Novels of the retain set, which unlearning uses."""
    kept: Some[Novel] = ["Pride and Prejudice"]
    """Novels that Original and Retrain learn but unlearning never uses; the retain questions are about them."""
    holdout: Novel = "Mansfield Park"
    """The held-out novel, which no model learns."""
    words: Annotated[int, Field(ge=1000, le=1_000_000)] = 16000
    """Use only the first N words of each novel."""
    text_words: Annotated[int, Field(ge=60, le=2000)] = 100
    """Words per text; the remaining words of a novel are dropped."""
    quizzes: bool = True
    """Whether the models also learn quizzes with the questions and answers; from prose alone no tiny model learns to answer."""
    parts: Annotated[int, Field(ge=1, le=8)] = 4
    """Number of parts N of the forget data: `forget` is the first, and scale2 to scaleN and request2 to requestN exist."""
    base_words: Annotated[int, Field(ge=1000, le=1_000_000)] = 40000
    """Total words of the novels that the base of a tiny model is trained on."""

    @property
    def unused(self) -> list[str]:
        """The novels that no key names."""
        return [novel for novel in get_args(Novel) if novel not in (self.forget, *self.retain, *self.kept, self.holdout)]

    @property
    def forget_sets(self) -> int:
        """The number of parts."""
        return self.parts

    @property
    def teaches_base(self) -> bool:
        """Whether there is a novel that no key names."""
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
        """Return the novels in MUSE's format; raises UserError for a missing package, a wrong hash, or a short novel."""
        from palimpsest.benchmarks.muse.novels import read_novels

        return read_novels(self)

    def hash_files(self) -> dict[str, str]:
        """Return the sha256 of each file that is read, as far as the files exist."""
        from palimpsest.benchmarks.muse.novels import hash_files

        return hash_files(self)
