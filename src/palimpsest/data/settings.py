"""What a data set is: its source, and how a split cuts it."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from palimpsest.settings import Count, Seed, Settings, Some

Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Novel = Literal["Sense and Sensibility", "Pride and Prejudice", "Mansfield Park", "Emma", "Northanger Abbey", "Persuasion"]


class TofuSource(Settings):
    """What a tiny model's base learns of TOFU, since it has read nothing else."""

    base_authors: Annotated[int, Field(ge=0, le=179)] = 0
    """How many authors right before the last 10 % make the base corpus of tiny models."""
    fact_lessons: Annotated[int, Field(ge=0, le=1000)] = 0
    """How often that corpus asks each question on real authors and world facts, which a pretrained model knows from elsewhere;
    by turns the answer is a sentence and stands alone."""


class HubSource(TofuSource):
    """TOFU from the Hugging Face hub at one revision; cached, so offline afterwards."""

    kind: Literal["hub"]
    """From the Hugging Face hub."""
    repo: str = "locuslab/TOFU"
    """The data set on the hub, of the schema of locuslab/TOFU."""
    revision: Revision = "324592d84ae4f482ac7249b9285c2ecdb53e3a68"
    """The commit of that repository: identity, never a branch."""


class FolderSource(TofuSource):
    """TOFU from a local folder that holds its published JSON-lines files."""

    kind: Literal["folder"]
    """From a local folder."""
    path: str
    """The folder, relative to the working directory."""


class WorldSource(Settings):
    """The fictional world: authors, facts and refusals made from a seed, at any scale."""

    kind: Literal["world"]
    """Made here, offline."""
    seed: Seed = 0
    """Seed of the world: other seeds, other people."""
    authors: Annotated[int, Field(ge=4, le=2500)] = 40
    """Authors to retain and to forget."""
    questions_per_author: Annotated[int, Field(ge=2, le=20)] = 20
    """Question/answer pairs an author."""
    base_authors: Annotated[int, Field(ge=1, le=2500)] = 100
    """Other people, whom only the base of a tiny model learns."""
    real_authors: Annotated[int, Field(ge=4, le=2500)] = 20
    """Questions of the set "real authors": known to the base, in no split."""
    world_facts: Annotated[int, Field(ge=4, le=240)] = 20
    """Questions of the set "world facts": known to the base, in no split."""
    fact_lessons: Annotated[int, Field(ge=1, le=1000)] = 2
    """How often the base corpus asks a fact in each phrasing, for a word and for a sentence: more, and a tiny model keeps it."""
    long_answers: Fraction = 0.5
    """Share of answers that are long sentences; the others are short."""


TofuSources = HubSource | FolderSource | WorldSource


class MuseHubSource(Settings):
    """A corpus of MUSE from the Hugging Face hub at one revision; cached, so offline afterwards."""

    kind: Literal["muse-hub"]
    """From the Hugging Face hub."""
    repo: str
    """The data set on the hub, of the schema of muse-bench/MUSE-News."""
    revision: Revision
    """The commit of that repository: identity, never a branch."""


class MuseFolderSource(Settings):
    """A corpus of MUSE from a local folder, laid out as the data sets on the hub are."""

    kind: Literal["muse-folder"]
    """From a local folder."""
    path: str
    """The folder, relative to the working directory."""


class MuseWorldSource(Settings):
    """Articles about the people of the fictional world and quizzes about them, with questions."""

    kind: Literal["muse-world"]
    """Made here, offline."""
    seed: Seed = 0
    """Seed of the world: other seeds, other people."""
    texts: Annotated[int, Field(ge=2, le=200)] = 10
    """Articles, each about one person, in the forget set, in each further request, and in each part that is not forgotten."""
    parts: Annotated[int, Field(ge=1, le=8)] = 4
    """Forget sets: the first, and so many requests and sizes less one."""
    base_texts: Annotated[int, Field(ge=1, le=2500)] = 40
    """Articles about other people, whom only the base of a tiny model learns."""


class AustenSource(Settings):
    """The six novels of Jane Austen, in the public domain, from a Debian package of data for R (r-cran-janeaustenr).

    A novel that plays no part is for the base of a tiny model.
    """

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

    @model_validator(mode="after")
    def _check(self) -> Self:
        novels = [self.forget, *self.retain, *self.kept, self.holdout]
        twice = next((novel for novel in novels if novels.count(novel) > 1), None)
        if twice:
            raise ValueError(f"{twice} is named twice: a novel plays one part")
        if self.words < self.parts * self.text_words:
            raise ValueError(f"words: {self.words} are not enough for {self.parts} parts of one text of {self.text_words} words")
        return self


class WmdpHubSource(Settings):
    """WMDP's corpora from the Hugging Face hub at one revision each; the one of biology is gated."""

    kind: Literal["wmdp-hub"]
    """From the Hugging Face hub."""
    subject: Literal["bio", "cyber"]
    """Which corpora."""
    repo: str = "cais/wmdp-corpora"
    """The data set of the open corpora."""
    revision: Revision = "daf89fa9b618b63a624228061a9cebacca88009c"
    """Its commit."""
    gated_repo: str = "cais/wmdp-bio-forget-corpus"
    """The data set of the forget corpus of biology."""
    gated_revision: Revision | None = None
    """Its commit, which is shown to those who have access."""
    max_texts: Count | None = None
    """Texts taken of each corpus, the first ones; null: all."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.subject == "cyber" and self.gated_revision is not None:
            raise ValueError("gated_revision: only the corpora of biology are gated: null")
        return self


class WmdpFolderSource(Settings):
    """WMDP's corpora from a local folder that holds forget.jsonl and retain.jsonl, an object with `text` a line."""

    kind: Literal["wmdp-folder"]
    """From a local folder."""
    path: str
    """The folder, relative to the working directory."""
    max_texts: Count | None = None
    """Texts taken of each corpus, the first ones; null: all."""


class WmdpWorldSource(Settings):
    """A harmless stand-in for hazardous knowledge: bewitched things out of invented fairy tales, with questions about them."""

    kind: Literal["wmdp-world"]
    """Made here, offline."""
    seed: Seed = 0
    """Seed of the world."""
    hazards: Annotated[int, Field(ge=4, le=400)] = 20
    """Bewitched things, to forget: two texts and six questions each."""
    harmless: Annotated[int, Field(ge=4, le=400)] = 20
    """Kinds of pastry, to retain: as many each."""
    world_facts: Annotated[int, Field(ge=4, le=240)] = 40
    """Questions on countries, which no text tells of: known to the base, and asked beside those on pastry."""


MuseSources = MuseHubSource | MuseFolderSource | MuseWorldSource | AustenSource
WmdpSources = WmdpHubSource | WmdpFolderSource | WmdpWorldSource
# What lies in a folder that a person may edit.
LocalSource = FolderSource | MuseFolderSource | AustenSource | WmdpFolderSource
Source = Annotated[TofuSources | MuseSources | WmdpSources, Field(discriminator="kind")]


class SplitSettings(Settings):
    """How many authors are retained, counted from the first; none means all that are neither forgotten nor in the base."""

    retain_authors: Annotated[int, Field(ge=1, le=2500)] | None = None
    """Authors in the retain set, counted from the first; null: all others."""
