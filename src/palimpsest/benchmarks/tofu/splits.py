"""Splits of TOFU: the last authors are forgotten, the first ones retained; authors of the base corpus are in neither set."""

import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from palimpsest.data.rows import Question, read_rows, write_sets
from palimpsest.errors import UserError
from palimpsest.settings import Settings

# The sets of the data that every split has.
SHARED = ("real_authors", "world_facts", "refusals")


class SplitSettings(Settings):
    """Which authors are forgotten, and how many are retained."""

    skip_authors: Annotated[int, Field(ge=0, le=2500)] = 0
    """Leave out the last N authors: those before them are forgotten, and those left out are in no set. So settings can be chosen
    on authors that another benchmark does not score."""
    retain_authors: Annotated[int, Field(ge=1, le=2500)] | None = None
    """Retain only the first N authors; null: all authors outside the forget set and the base corpus."""


def cut(data: Path, split: str, settings: Mapping[str, Any], out: Path) -> None:
    """Write a split: its forget, retain and holdout sets, and copies of the shared sets.

    `settings` has the fields of `SplitSettings`. The holdout set comes with the data; if not, it has
    the authors that `retain_authors` leaves out.
    """
    base = {row.author for row in read_rows(data / "base.jsonl", Question)}
    authors = read_rows(data / "authors.jsonl", Question)
    chosen = SplitSettings.model_validate(settings)
    forget, retain = split_authors(authors, split, chosen, base)
    holdout = read_rows(data / "holdout.jsonl", Question) or unseen(authors, forget, retain, chosen, base)
    write_sets(out, {"forget": forget, "retain": retain, "holdout": holdout})
    for name in SHARED:
        shutil.copyfile(data / f"{name}.jsonl", out / f"{name}.jsonl")


def count_forgotten(name: str, authors: int) -> int:
    """Return how many of `authors` authors forgetNN forgets; raises UserError for another name or a fractional number."""
    if not is_forget_share(name):
        raise UserError(f"split {name!r}: the name must be forgetNN with NN from 01 to 99, for the last NN % of the authors")
    share = int(name.removeprefix("forget"))
    count, rest = divmod(authors * share, 100)
    if rest:
        raise UserError(f"split {name}: {share} % of {authors} authors is not a whole number of authors")
    return count


def is_forget_share(name: str) -> bool:
    """Return whether a name is one of forget01 to forget99."""
    return re.fullmatch(r"forget[0-9][0-9]", name) is not None and name != "forget00"


def split_authors(
    rows: Sequence[Question], name: str, settings: SplitSettings, base_authors: Collection[int]
) -> tuple[list[Question], list[Question]]:
    """Return the forget rows (the last NN % of the authors, before those that are skipped) and the retain rows (the first
    `retain_authors`, or all others).

    Raises UserError for a split that the data do not contain.
    """
    authors = sorted({row.author for row in rows})
    count = count_forgotten(name, len(authors))
    end = len(authors) - settings.skip_authors
    if count > end:
        left = f"leaves {max(end, 0)} of {len(authors)} authors, but {count} are forgotten"
        raise UserError(f"split {name}: skip_authors: {settings.skip_authors} {left}")
    forgotten, skipped = set(authors[end - count : end]), set(authors[end:])
    forget = [row for row in rows if row.author in forgotten]
    unpaired = next((row.id for row in forget if not (row.paraphrased_answer and row.perturbed_answers)), None)
    if unpaired:
        raise UserError(f"split {name}: {unpaired} has no perturbed answers, so it cannot be forgotten; choose a smaller split")
    if taken := forgotten & set(base_authors):
        raise UserError(f"split {name}: {len(taken)} of its {count} authors are in the base corpus; choose a smaller split")

    wanted = settings.retain_authors
    free = [author for author in authors if author not in forgotten | skipped | set(base_authors)]
    retained = set(free if wanted is None else authors[:wanted])
    if not retained:
        raise UserError(f"split {name}: no author is left to retain ({len(authors)} authors, {count} forgotten)")
    if retained - set(free):
        raise UserError(
            f"split {name}: retain_authors: {wanted} overlaps the forget set or the base corpus, "
            f"at most {_leading(authors, free)} are allowed"
        )
    return forget, [row for row in rows if row.author in retained]


def unseen(
    rows: Sequence[Question],
    forget: Sequence[Question],
    retain: Sequence[Question],
    settings: SplitSettings,
    base_authors: Collection[int],
) -> list[Question]:
    """Return the rows of the first authors whom no model of a split learns, as many as are forgotten if there are so many.

    Those that `skip_authors` leaves out are not among them, because another split may forget them.
    """
    authors = sorted({row.author for row in rows})
    forgotten = {row.author for row in forget}
    learnt = forgotten | {row.author for row in retain} | set(base_authors)
    others = [author for author in authors[: len(authors) - settings.skip_authors] if author not in learnt]
    chosen = set(others[: len(forgotten)])
    return [row for row in rows if row.author in chosen]


def _leading(authors: Sequence[int], free: Sequence[int]) -> int:
    """Return the number of leading authors that are all free."""
    allowed = set(free)
    return next((i for i, author in enumerate(authors) if author not in allowed), len(authors))
