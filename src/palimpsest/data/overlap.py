"""Overlaps of sets that should be disjoint: refused, or counted and logged if the published data have them."""

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
# Consecutive words that two texts share if one quotes the other: longer than a common footer or licence.
RUN = 40
# Only every so many words a run is searched for, which still finds longer runs.
SAMPLED = 16
SHOWN = 60


@dataclass(frozen=True)
class Overlap:
    """Items in a set that should not contain them: a description, their number, and the first one."""

    said: str
    count: int
    first: str

    def __str__(self) -> str:
        shown = self.first if len(self.first) <= SHOWN else f"{self.first[:SHOWN]}..."
        return f"{self.said}: {self.count}, the first: {shown!r}"


def settle(where: str, faults: Iterable[Overlap], doubts: Iterable[Overlap], *, published: bool) -> dict[str, int]:
    """Log all overlaps and return their counts; raises UserError for the first fault unless the data are published."""
    found = list(faults)
    if found and not published:
        raise UserError(f"{where}: {found[0]}")
    found += doubts
    for overlap in found:
        log.warning("%s: %s", where, overlap)
    return {overlap.said: overlap.count for overlap in found}


def normal(text: str) -> str:
    """Return a text normalised in case, whitespace and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def near_duplicates(said: str, texts: Sequence[Text], others: Sequence[Text]) -> Iterator[Overlap]:
    """Yield the near-duplicates of other texts: equal after `normal`, or with `RUN` consecutive words in common."""
    is_same = among(others)
    plain = [normal(text.text) for text in others]
    alike, runs = set(plain), {run for text in plain for run in _runs(text)}

    def is_near(text: str) -> bool:
        return not is_same(text) and ((known := normal(text)) in alike or not runs.isdisjoint(_runs(known)))

    yield from some_texts(said, texts, is_near)


def some(said: str, items: Iterable[str]) -> Iterator[Overlap]:
    """Yield one overlap for these items, if there are any."""
    if found := list(items):
        yield Overlap(said, len(found), found[0])


def some_texts(said: str, texts: Iterable[Text], is_meant: Callable[[str], bool]) -> Iterator[Overlap]:
    """Yield one overlap for the texts that satisfy a condition, if there are any."""
    yield from some(said, (text.text for text in texts if is_meant(text.text)))


def among(texts: Iterable[Text]) -> Callable[[str], bool]:
    """Return a function that tests whether a text is one of these."""
    return {text.text for text in texts}.__contains__


def inside(texts: Iterable[Text]) -> Callable[[str], bool]:
    """Return a function that tests whether a text is an excerpt of one of these, ignoring whitespace and case."""
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
