"""Novels of Jane Austen in MUSE's format: real text in the public domain, read from a package with data for R.

MUSE's questions are about its own corpora, so the questions here are ours: a question is a sentence of a novel without its last
words, and the answer is these words. Only a model that knows the text can answer. With `quizzes`, models also learn the questions
as quizzes, because tiny models learn no answers from prose; KnowMem then measures the quizzes, and VerbMem the prose.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, get_args

from palimpsest.benchmarks.muse.dataset import MuseData, cut_excerpt
from palimpsest.benchmarks.muse.quizzes import make_quizzes
from palimpsest.benchmarks.muse.sources.austen import AustenSource, Novel
from palimpsest.data.rows import Pair, Text
from palimpsest.errors import UserError
from palimpsest.provenance.canonical import sha256_file

FILE = "Rdata.rdb"
PACKAGE = "r-cran-janeaustenr"
# As many as in MUSE.
MOST_ITEMS = 100
EXAMPLES = 3
# Words of an excerpt that are given; the rest of its text is to be recited.
PROMPT_WORDS = 32
ANSWER_WORDS = 4
SENTENCE_WORDS = range(10, 33)
_HEADING = re.compile(r"\s*(chapter|volume) ([ivxlc]+|\d+)\.?\s*$", re.IGNORECASE)
_LAST = re.compile(r"\s*(the end|finis|a note on the text)\s*$", re.IGNORECASE)
# Not after a title or an initial, and only before the beginning of a sentence.
_SENTENCE_END = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bDr)(?<!\bSt)(?<!\b[A-Z])[.!?][\"')]*(?=\s+[\"'(]*[A-Z]|$)")


@dataclass(frozen=True)
class _Passage:
    """Consecutive words of a novel, with possible questions about them."""

    prose: Text
    pairs: list[Pair]


def read_novels(source: AustenSource) -> MuseData:
    """Return the novels in MUSE's format; raises UserError for a missing package, a wrong hash, or a short novel."""
    path = _find(Path(source.path))
    found = sha256_file(path)
    if found != source.sha256:
        raise UserError(f"{path}: has sha256 {found}, not {source.sha256}: another version of {PACKAGE}, or set source.sha256")
    novels = {title: _words(lines) for title, lines in _read_novels(path)}
    lacking = next((title for title in get_args(Novel) if title.casefold() not in novels), None)
    if lacking:
        raise UserError(f"{path}: no novel {lacking}; the file is truncated or from another package")
    origin: dict[str, Any] = {"licence": "public domain", "package": f"{PACKAGE} {_version(path)}", "files": hash_files(source)}
    return make_data({title: novels[title.casefold()] for title in get_args(Novel)}, source, origin)


def hash_files(source: AustenSource) -> dict[str, str]:
    """Return the sha256 of each file that is read, as far as the files exist."""
    folder = Path(source.path)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in sorted(folder.rglob(FILE))}


def make_data(novels: dict[str, list[str]], source: AustenSource, origin: dict[str, Any]) -> MuseData:
    """Divide novels, given as lists of words, into texts and make questions; raises UserError for a short novel."""

    def cut(title: str, words: int = source.words) -> list[_Passage]:
        if len(novels[title]) < words:
            raise UserError(f"{title}: it has {len(novels[title])} words of text, but {words} are needed")
        size = source.text_words
        starts = range(0, words - size + 1, size)
        return [_passage(title, number, novels[title][at : at + size]) for number, at in enumerate(starts)]

    def texts(name: str, passages: Sequence[_Passage]) -> list[Text]:
        prose = [passage.prose for passage in passages]
        return [*prose, *make_quizzes(0, name, _first_pairs(passages))] if source.quizzes else prose

    parts = {title: cut(title) for title in (source.forget, *source.retain, *source.kept, source.holdout)}
    whole, kept = parts[source.forget], [passage for title in source.kept for passage in parts[title]]
    size = len(whole) // source.parts
    forget, *requests = (whole[number * size : (number + 1) * size] for number in range(source.parts))
    members = forget[: min(len(parts[source.holdout]), MOST_ITEMS)]
    asked_forget, examples_forget = _ask(forget)
    asked_retain, examples_retain = _ask(kept)
    unused = [title for title in novels if title not in parts]
    forgotten, *requested = (texts(f"forget{number}", part) for number, part in enumerate([forget, *requests], start=1))
    return MuseData(
        forget=forgotten,
        retain=texts("retain", [passage for title in source.retain for passage in parts[title]]),
        kept=texts("kept", kept),
        holdout=texts("holdout", parts[source.holdout]),
        verbatim=[cut_excerpt(passage.prose, PROMPT_WORDS) for passage in forget[:MOST_ITEMS]],
        knowledge_forget=asked_forget,
        examples_forget=examples_forget,
        knowledge_retain=asked_retain,
        examples_retain=examples_retain,
        # Only prose, so that all texts have the same length.
        members=[passage.prose for passage in members],
        nonmembers=[passage.prose for passage in parts[source.holdout][: len(members)]],
        scales=[[*forgotten, *chain(*requested[:number])] for number in range(1, source.parts)],
        requests=requested,
        base=texts("base", [passage for title in unused for passage in cut(title, source.base_words // len(unused))]),
        origin=origin,
    )


def _find(folder: Path) -> Path:
    """Return the only file with the texts below a folder."""
    found = sorted(folder.rglob(FILE))
    if not found:
        raise UserError(
            f"{folder}: no {FILE} in it: `make books-austen`, or `apt-get download {PACKAGE}` "
            f"and `dpkg-deb -x {PACKAGE}_*.deb {folder}`"
        )
    if len(found) > 1:
        raise UserError(f"{folder}: {len(found)} files {FILE} in it, but there must be one: {', '.join(map(str, found))}")
    return found[0]


def _version(path: Path) -> str:
    """Return the version in the package's files."""
    description = path.parent.parent / "DESCRIPTION"
    text = description.read_text(encoding="utf-8", errors="replace") if description.is_file() else ""
    version = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
    return version[1] if version else "of unknown version"


def _read_novels(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the title, in lower case, and the lines of each novel; the file is a series of string vectors."""
    rest = path.read_bytes()
    try:
        while rest:
            # Four bytes with the length, then a stream that marks its own end.
            stream = zlib.decompressobj()
            lines = _strings(stream.decompress(rest[4:]))
            rest = stream.unused_data
            yield next(line for line in lines if line.strip()).strip().casefold(), lines
    except (zlib.error, struct.error, UnicodeDecodeError, StopIteration) as error:
        raise UserError(f"{path}: not a file of novels in R's format: {str(error) or 'empty'}") from None


def _strings(content: bytes) -> list[str]:
    """Return the strings of a vector in R's serialisation: big-endian, version 3, preceded by the encoding."""
    (encoding,) = struct.unpack_from(">i", content, 14)
    at = 18 + encoding
    kind, count = struct.unpack_from(">Bi", content, at + 3)
    if content[:6] != b"X\n\0\0\0\3" or kind != 16:
        raise struct.error("no vector of strings")
    at += 8
    strings = []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", content, at + 4)
        strings.append(content[at + 8 : at + 8 + length].decode())
        at += 8 + length
    return strings


def _words(lines: list[str]) -> list[str]:
    """Return the words from the first chapter on, without headings and italics marks; paragraphs are joined."""
    first = next((number for number, line in enumerate(lines) if _HEADING.match(line)), len(lines))
    words: list[str] = []
    for line in lines[first:]:
        if _LAST.match(line):
            break
        if not _HEADING.match(line):
            words += line.replace("_", "").replace("*", "").split()
    return words


def _passage(title: str, number: int, words: list[str]) -> _Passage:
    name = f"{title.lower().replace(' ', '-')}-{number:04d}"
    prose = Text(id=name, text=" ".join(words))
    return _Passage(prose, _questions(title, prose))


def _ask(passages: list[_Passage]) -> tuple[list[Pair], list[Pair]]:
    """Return the question of each passage that has one, and few-shot examples about other sentences."""
    asked = _first_pairs(passages)[:MOST_ITEMS]
    if not asked:
        raise UserError(f"source: no whole sentence to ask about from {passages[0].prose.id} on: raise words or text_words")
    return asked, [pair for passage in passages for pair in passage.pairs[1:]][:EXAMPLES]


def _first_pairs(passages: Sequence[_Passage]) -> list[Pair]:
    return [passage.pairs[0] for passage in passages if passage.pairs]


def _questions(title: str, text: Text) -> list[Pair]:
    """Return a question for each complete sentence of a text that is neither too short nor too long."""
    ends = [end.end() for end in _SENTENCE_END.finditer(text.text)]
    sentences = [text.text[start:end].split() for start, end in pairwise(ends)]
    return [
        Pair(
            id=f"{text.id}-{number}",
            question=f"How does this sentence of {title} go on? {' '.join(words[:-ANSWER_WORDS])}",
            answer=" ".join(words[-ANSWER_WORDS:]),
        )
        for number, words in enumerate(sentences)
        if len(words) in SENTENCE_WORDS
    ]
