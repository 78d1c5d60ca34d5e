"""What a data set is: its source, and how a split cuts it."""

from typing import Annotated, Literal

from pydantic import Field

from palimpsest.settings import Settings

Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class TofuSource(Settings):
    """What a tiny model's base learns of TOFU, since it has read nothing else."""

    base_authors: Annotated[int, Field(ge=0, le=179)] = 0
    """How many authors right before the last 10 % make the base corpus of tiny models."""
    fact_lessons: Annotated[int, Field(ge=0)] = 0
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
    seed: int = 0
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
    fact_lessons: Annotated[int, Field(ge=1)] = 2
    """How often the base corpus asks a fact in each phrasing, for a word and for a sentence: more, and a tiny model keeps it."""
    long_answers: Fraction = 0.5
    """Share of answers that are long sentences; the others are short."""


Source = Annotated[HubSource | FolderSource | WorldSource, Field(discriminator="kind")]


class SplitSettings(Settings):
    """How many authors are retained, counted from the first; none means all that are neither forgotten nor in the base."""

    retain_authors: Annotated[int, Field(ge=1)] | None = None
    """Authors in the retain set, counted from the first; null: all others."""
