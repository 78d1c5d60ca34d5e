"""Overlaps between the sets of a MUSE corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from palimpsest.benchmarks.muse.dataset import MuseData
from palimpsest.data.overlap import Overlap, among, inside, near_duplicates, normal, some, some_texts
from palimpsest.data.rows import Excerpt, Pair


def find_faults(data: MuseData) -> Iterator[Overlap]:
    """Yield overlaps that make MUSE's numbers wrong: Retrain learns forget texts, or a model learns non-members."""
    forgotten = [*data.forget, *(text for part in (*data.scales, *data.requests) for text in part)]
    is_forgotten = among(forgotten)
    for name, texts in (("retain1", data.retain), ("retain2", data.kept), ("holdout", data.holdout)):
        yield from some_texts(f"texts of raw/{name} that are to be forgotten", texts, is_forgotten)
    for number, part in enumerate(data.requests, start=2):
        earlier = [data.forget, *data.requests[: number - 2]]
        yield from some_texts(
            f"texts of sust/forget_{number} that are in an earlier request", part, among([text for of in earlier for text in of])
        )
    yield from some_texts("texts of raw/holdout that Retrain learns", data.holdout, among([*data.retain, *data.kept]))
    is_member, is_learnt = inside(data.forget), inside([*forgotten, *data.retain, *data.kept])
    yield from some_texts("texts of privleak/forget that are not of raw/forget", data.members, lambda text: not is_member(text))
    yield from some_texts("texts of privleak/holdout that the original learns", data.nonmembers, is_learnt)
    shown = _questions([*data.examples_forget, *data.examples_retain])
    asked = _questions(data.knowledge_forget)
    for name, pairs, others, why in (
        ("forget_qa", data.knowledge_forget, shown, "that the examples answer"),
        ("retain_qa", data.knowledge_retain, shown, "that the examples answer"),
        ("retain_qa", data.knowledge_retain, asked, "that are in forget_qa too"),
    ):
        yield from some(f"questions of knowmem/{name} {why}", (row.question for row in pairs if normal(row.question) in others))


def find_doubts(data: MuseData) -> Iterator[Overlap]:
    """Yield overlaps that may make MUSE's numbers wrong: near-duplicates, and excerpts that are in no text."""
    for name, texts in (("retain1", data.retain), ("retain2", data.kept), ("holdout", data.holdout)):
        yield from near_duplicates(f"texts of raw/{name} that are nearly those of raw/forget", texts, data.forget)
    yield from some_texts("texts of raw/retain2 that are in raw/retain1", data.kept, among(data.retain))
    is_cut = inside(data.forget)
    loose = (row.prompt for row in data.verbatim if not any(map(is_cut, _whole(row))))
    yield from some("excerpts of verbmem/forget that are in no text of raw/forget", loose)
    for name, pairs in (("forget_qa", data.knowledge_forget), ("retain_qa", data.knowledge_retain)):
        times = Counter(normal(row.question) for row in pairs)
        twice = (question for question, count in times.items() if count > 1)
        yield from some(f"questions of knowmem/{name} that are asked twice", twice)


def _questions(pairs: Iterable[Pair]) -> set[str]:
    return {normal(pair.question) for pair in pairs}


def _whole(row: Excerpt) -> tuple[str, str]:
    """Return an excerpt and its continuation joined, once without and once with a space between them."""
    return row.prompt + row.continuation, f"{row.prompt} {row.continuation}"
