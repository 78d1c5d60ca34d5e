"""How a split cuts the authors: the last part is forgotten, the first authors are retained, the base stays apart."""

import re
from collections.abc import Collection, Sequence
from typing import TypeVar

from palimpsest.data.rows import Question
from palimpsest.data.settings import SplitSettings
from palimpsest.errors import UserError

Row = TypeVar("Row")


def count_forgotten(name: str, authors: int) -> int:
    """Return how many of so many authors forgetNN forgets; raises UserError for another name or a broken number."""
    if not is_forget_share(name):
        raise UserError(f"split {name!r}: a split is forgetNN, the last NN % of the authors, NN from 01 to 99")
    share = int(name.removeprefix("forget"))
    count, rest = divmod(authors * share, 100)
    if rest:
        raise UserError(f"split {name}: {share} % of {authors} authors is no whole number of authors")
    return count


def is_forget_share(name: str) -> bool:
    """Return whether a name is that of a split: forget01 to forget99."""
    return re.fullmatch(r"forget[0-9][0-9]", name) is not None and name != "forget00"


def split_authors(
    rows: Sequence[Question], name: str, settings: SplitSettings, base_authors: Collection[int]
) -> tuple[list[Question], list[Question]]:
    """Return the forget rows (the last NN % of the authors) and the retain rows (the first `retain_authors`, or all others).

    Raises UserError for a split that the data does not hold.
    """
    authors = sorted({row.author for row in rows})
    count = count_forgotten(name, len(authors))
    forgotten = set(authors[-count:])
    forget = [row for row in rows if row.author in forgotten]
    unpaired = next((row.id for row in forget if not (row.paraphrased_answer and row.perturbed_answers)), None)
    if unpaired:
        raise UserError(f"split {name}: {unpaired} has no perturbed answers, so it cannot be forgotten; choose a smaller split")
    if taken := forgotten & set(base_authors):
        raise UserError(f"split {name}: {len(taken)} of its {count} authors are in the base corpus; choose a smaller split")

    wanted = settings.retain_authors
    free = [author for author in authors if author not in forgotten and author not in base_authors]
    retained = set(free if wanted is None else authors[:wanted])
    if not retained:
        raise UserError(f"split {name}: no author is left to retain ({len(authors)} authors, {count} forgotten)")
    if retained - set(free):
        raise UserError(
            f"split {name}: retain_authors: {wanted} reaches into the forget set or the base corpus, "
            f"at most {_leading(authors, free)} are allowed"
        )
    return forget, [row for row in rows if row.author in retained]


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return a forget set's two halves in its order (SimNPO, App. C); an odd number gives the first half one more."""
    middle = (len(rows) + 1) // 2
    return list(rows[:middle]), list(rows[middle:])


def _leading(authors: Sequence[int], free: Sequence[int]) -> int:
    """Return how many authors from the first on are all free."""
    allowed = set(free)
    return next((i for i, author in enumerate(authors) if author not in allowed), len(authors))
