"""Which parts of a generated answer say the same again, and which say what the label says: spans of characters to be marked."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

Span = tuple[int, int]
# So many words in a row are a phrase; fewer are shared by chance.
PHRASE = 4

# Vowel signs and accents belong to the letter before them; Thai to Myanmar, Khmer, kana and Han have no spaces between words.
_SIGNS = "".join(sign for sign in map(chr, range(0x300, 0x10000)) if unicodedata.category(sign) in ("Mn", "Mc"))
_UNSPACED = "\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"(?=\w)[{_UNSPACED}][{_SIGNS}]*|(?:(?![{_UNSPACED}])\w[{_SIGNS}]*)+")
COMPARED = (
    "Marked are words of the right answer: as recalled beyond Retrain if neither the question nor Retrain's answer has them, and "
    "only underlined if one of the two has them too, since these say nothing about what was forgotten."
)


@dataclass(frozen=True)
class Word:
    """A word without case and punctuation, and its characters [start, end)."""

    text: str
    start: int
    end: int


def repeated_spans(text: str) -> list[Span]:
    """Return where a phrase comes again that the text already had, or a word again and again (PHRASE times in a row or more)."""
    words = split_words(text)
    seen: set[tuple[str, ...]] = set()
    repeated: set[int] = set()
    for start in range(len(words) - PHRASE + 1):
        phrase = tuple(word.text for word in words[start : start + PHRASE])
        if phrase in seen:
            repeated |= set(range(start, start + PHRASE))
        seen.add(phrase)
    for _, same in groupby(range(len(words)), key=lambda place: words[place].text):
        places = list(same)
        if len(places) >= PHRASE:
            repeated |= set(places[1:])
    return _spans(words, repeated)


def leaked_spans(text: str, label: str, question: str) -> list[Span]:
    """Return the longest runs of words that are in the label too, at least PHRASE or all it has, and not in the question."""
    words = split_words(text)
    said, right, asked = ([word.text for word in of] for of in (words, split_words(label), split_words(question)))
    if not right:
        return []
    leaked: set[int] = set()
    end = 0
    for start, length in enumerate(_common(said, right)):
        # A run that ends within one already met is a part of it.
        if length >= min(PHRASE, len(right)) and start + length > end:
            end = start + length
            if _common(said[start:end], asked)[0] < length:
                leaked |= set(range(start, end))
    return _spans(words, leaked)


def compared_spans(text: str, label: str, question: str, retrain: str) -> dict[str, list[Span]]:
    """Return where an answer has words of the label, by `COMPARED`: `recalled` beyond Retrain, and `shared`.

    Without an answer of Retrain, pass an empty text.
    """
    words, known = split_words(text), words_of(question) | words_of(retrain)
    right = {place for place, word in enumerate(words) if word.text in words_of(label)}
    recalled = {place for place in right if words[place].text not in known}
    return {"recalled": _spans(words, recalled), "shared": _spans(words, right - recalled)}


@lru_cache(maxsize=4096)
def words_of(text: str) -> frozenset[str]:
    """Return the words that a text has."""
    return frozenset(word.text for word in split_words(text))


def split_words(text: str) -> list[Word]:
    """Return the words of a text: letters and digits of any script, and underscores; single characters without spaces between."""
    return [Word(unicodedata.normalize("NFC", match.group()).casefold(), *match.span()) for match in _WORD.finditer(text)]


def marked(text: str, spans: Mapping[str, Sequence[Span]]) -> list[tuple[str, list[str]]]:
    """Cut a text where a span begins or ends; return its pieces in order, each with the names of the spans that hold it."""
    cuts = sorted({0, len(text), *(end for of in spans.values() for span in of for end in span)})
    return [
        (text[start:end], [name for name, of in spans.items() if any(low <= start and end <= high for low, high in of)])
        for start, end in pairwise(cuts)
    ]


def _common(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """Return for each place of the first how many words from there on are a run of the second."""
    longest = [0] * len(first)
    after = [0] * (len(second) + 1)
    for place in range(len(first) - 1, -1, -1):
        after = [after[i + 1] + 1 if first[place] == second[i] else 0 for i in range(len(second))] + [0]
        longest[place] = max(after)
    return longest


def _spans(words: Sequence[Word], places: set[int]) -> list[Span]:
    """Return the characters of the words at these places, one span a run of neighbours."""
    ordered = sorted(places)
    runs = [[place for _, place in run] for _, run in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])]
    return [(words[run[0]].start, words[run[-1]].end) for run in runs]
