"""Sets that should be apart: what two of them share is refused, or counted and said where the data are published that way."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from palimpsest.data.rows import Excerpt, Pair, Text
from palimpsest.data.texts import MuseData, WmdpData
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


def muse_faults(data: MuseData) -> Iterator[Overlap]:
    """Yield what makes the numbers of MUSE wrong: Retrain learns what is to be forgotten, or non-members are learnt."""
    forgotten = [*data.forget, *(text for part in (*data.scales, *data.requests) for text in part)]
    is_forgotten = _among(forgotten)
    for name, texts in (("retain1", data.retain), ("retain2", data.kept), ("holdout", data.holdout)):
        yield from _texts(f"texts of raw/{name} that are to be forgotten", texts, is_forgotten)
    for number, part in enumerate(data.requests, start=2):
        earlier = [data.forget, *data.requests[: number - 2]]
        yield from _texts(
            f"texts of sust/forget_{number} that are in an earlier request", part, _among([text for of in earlier for text in of])
        )
    yield from _texts("texts of raw/holdout that Retrain learns", data.holdout, _among([*data.retain, *data.kept]))
    is_member, is_learnt = _inside(data.forget), _inside([*forgotten, *data.retain, *data.kept])
    yield from _texts("texts of privleak/forget that are not of raw/forget", data.members, lambda text: not is_member(text))
    yield from _texts("texts of privleak/holdout that the original learns", data.nonmembers, is_learnt)
    shown = _questions([*data.examples_forget, *data.examples_retain])
    asked = _questions(data.knowledge_forget)
    for name, pairs, others, why in (
        ("forget_qa", data.knowledge_forget, shown, "that the examples answer"),
        ("retain_qa", data.knowledge_retain, shown, "that the examples answer"),
        ("retain_qa", data.knowledge_retain, asked, "that are in forget_qa too"),
    ):
        yield from _some(f"questions of knowmem/{name} {why}", (row.question for row in pairs if normal(row.question) in others))


def muse_doubts(data: MuseData) -> Iterator[Overlap]:
    """Yield what may make the numbers of MUSE wrong: texts that are nearly the same, and excerpts of no text."""
    for name, texts in (("retain1", data.retain), ("retain2", data.kept), ("holdout", data.holdout)):
        yield from near_duplicates(f"texts of raw/{name} that are nearly those of raw/forget", texts, data.forget)
    yield from _texts("texts of raw/retain2 that are in raw/retain1", data.kept, _among(data.retain))
    is_cut = _inside(data.forget)
    loose = (row.prompt for row in data.verbatim if not any(map(is_cut, _whole(row))))
    yield from _some("excerpts of verbmem/forget that are in no text of raw/forget", loose)
    for name, pairs in (("forget_qa", data.knowledge_forget), ("retain_qa", data.knowledge_retain)):
        times = Counter(normal(row.question) for row in pairs)
        twice = (question for question, count in times.items() if count > 1)
        yield from _some(f"questions of knowmem/{name} that are asked twice", twice)


def wmdp_faults(data: WmdpData) -> Iterator[Overlap]:
    """Yield what makes the numbers of WMDP wrong: texts to be forgotten and retained at once."""
    yield from _texts("texts of retain that are in forget", data.retain, _among(data.forget))


def wmdp_doubts(data: WmdpData) -> Iterator[Overlap]:
    """Yield what may make the numbers of WMDP wrong: texts that are nearly the same."""
    yield from near_duplicates("texts of retain that are nearly those of forget", data.retain, data.forget)


def near_duplicates(said: str, texts: Sequence[Text], others: Sequence[Text]) -> Iterator[Overlap]:
    """Yield the texts that are not among others but nearly: equal when `normal`, or with a run of `RUN` words in common."""
    is_same = _among(others)
    plain = [normal(text.text) for text in others]
    alike, runs = set(plain), {run for text in plain for run in _runs(text)}

    def is_near(text: str) -> bool:
        return not is_same(text) and ((known := normal(text)) in alike or not runs.isdisjoint(_runs(known)))

    yield from _texts(said, texts, is_near)


def _some(said: str, items: Iterable[str]) -> Iterator[Overlap]:
    if found := list(items):
        yield Overlap(said, len(found), found[0])


def _texts(said: str, texts: Iterable[Text], is_meant: Callable[[str], bool]) -> Iterator[Overlap]:
    yield from _some(said, (text.text for text in texts if is_meant(text.text)))


def _among(texts: Iterable[Text]) -> Callable[[str], bool]:
    return {text.text for text in texts}.__contains__


def _inside(texts: Iterable[Text]) -> Callable[[str], bool]:
    """Return a function that says whether a text is one of these or is cut out of one, but for blanks and case."""
    whole = {text.text for text in texts}
    joined = "\0".join(map(normal, whole))
    return lambda text: text in whole or normal(text) in joined


def _questions(pairs: Iterable[Pair]) -> set[str]:
    return {normal(pair.question) for pair in pairs}


def _whole(row: Excerpt) -> tuple[str, str]:
    """Return an excerpt in one piece, without a blank where it was cut and with one."""
    return row.prompt + row.continuation, f"{row.prompt} {row.continuation}"


def _runs(text: str) -> set[int]:
    words = text.split()
    sampled = set(filter(_is_sampled, set(words)))
    starts = [place for place, word in enumerate(words[: 1 - RUN]) if word in sampled]
    return {hash(" ".join(words[place : place + RUN])) for place in starts}


@cache
def _is_sampled(word: str) -> bool:
    return crc32(word.encode()) % SAMPLED == 0
