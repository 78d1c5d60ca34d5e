"""Sets that should be apart: what two of them share is refused, or counted and said where the data are published that way."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from palimpsest.data.rows import Text
from palimpsest.errors import UserError

log = logging.getLogger("palimpsest")
# Words in a row that two texts share where one quotes the other: more than a footer or a licence has in common.
RUN = 40
# Runs are looked for from one word in so many on, which is enough for runs that go on.
SAMPLED = 16
SHOWN = 60


@dataclass(frozen=True)
class Overlap:
    """Items that are where they should not be: which ones, their number, and the first of them."""

    said: str
    count: int
    first: str

    def __str__(self) -> str:
        shown = self.first if len(self.first) <= SHOWN else f"{self.first[:SHOWN]}..."
        return f"{self.said}: {self.count}, the first: {shown!r}"


def settle(where: str, faults: Iterable[Overlap], doubts: Iterable[Overlap], *, published: bool) -> dict[str, int]:
    """Log all overlaps and return their counts; raises UserError for the first fault, unless the data are published."""
    found = list(faults)
    if found and not published:
        raise UserError(f"{where}: {found[0]}")
    found += doubts
    for overlap in found:
        log.warning("%s: %s", where, overlap)
    return {overlap.said: overlap.count for overlap in found}


def normal(text: str) -> str:
    """Return a text without differences of case, of blanks, and of how Unicode writes a letter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def near_duplicates(said: str, texts: Sequence[Text], others: Sequence[Text]) -> Iterator[Overlap]:
    """Yield the texts that are not among others but nearly: equal when `normal`, or with a run of `RUN` words in common."""
    is_same = among(others)
    plain = [normal(text.text) for text in others]
    alike, runs = set(plain), {run for text in plain for run in _runs(text)}

    def is_near(text: str) -> bool:
        return not is_same(text) and ((known := normal(text)) in alike or not runs.isdisjoint(_runs(known)))

    yield from some_texts(said, texts, is_near)


def some(said: str, items: Iterable[str]) -> Iterator[Overlap]:
    """Yield the overlap that these items are, if there are any."""
    if found := list(items):
        yield Overlap(said, len(found), found[0])


def some_texts(said: str, texts: Iterable[Text], is_meant: Callable[[str], bool]) -> Iterator[Overlap]:
    """Yield the overlap that the texts which are meant make, if there are any."""
    yield from some(said, (text.text for text in texts if is_meant(text.text)))


def among(texts: Iterable[Text]) -> Callable[[str], bool]:
    """Return a function that says whether a text is one of these."""
    return {text.text for text in texts}.__contains__


def inside(texts: Iterable[Text]) -> Callable[[str], bool]:
    """Return a function that says whether a text is one of these or is cut out of one, but for blanks and case."""
    whole = {text.text for text in texts}
    joined = "\0".join(map(normal, whole))
    return lambda text: text in whole or normal(text) in joined


def _runs(text: str) -> set[int]:
    words = text.split()
    sampled = set(filter(_is_sampled, set(words)))
    starts = [place for place, word in enumerate(words[: 1 - RUN]) if word in sampled]
    return {hash(" ".join(words[place : place + RUN])) for place in starts}


@cache
def _is_sampled(word: str) -> bool:
    return crc32(word.encode()) % SAMPLED == 0
