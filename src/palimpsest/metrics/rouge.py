"""ROUGE from the `rouge_score` package: recall with the Porter stemmer as in TOFU, and ROUGE-L F1 without it as in MUSE.

`rouge_score` knows only the letters a-z and digits. Its tokenizer is used if the letters of the answer are Latin. Other answers,
and the text generated for them, are split into Unicode words, or into characters if there are none. Text is in normal form C.
"""

import math
from functools import lru_cache
from typing import Literal, NamedTuple
from unicodedata import normalize

import regex
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from palimpsest.metrics.words import has_known_words

Words = Literal["rouge_score", "unicode", "characters"]
_OTHER_SCRIPT = regex.compile(r"[\p{L}--\p{Latin}--\p{Common}]|[\p{Nd}--0-9]", regex.V1)
# In scripts without spaces between words, each character is a word (SA: Thai, Lao, Khmer, Myanmar and related scripts).
_WORD = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}]\p{M}*|[\p{L}\p{N}][\p{L}\p{M}\p{N}]*", regex.V1)
# Joiners and direction marks are not part of a word; U+200B separates words.
_INVISIBLE = regex.compile(r"[\p{Cf}--\u200B]", regex.V1)
_CHARACTER = regex.compile(r"\X")


class StemmedWords:
    """A tokenizer for `RougeScorer`: its own words and stems. Each word is stemmed once, as stemming is most of the work."""

    def __init__(self) -> None:
        self._words, self._stems = DefaultTokenizer(), lru_cache(maxsize=2**16)(DefaultTokenizer(use_stemmer=True).tokenize)

    def tokenize(self, text: str) -> list[str]:
        """Return the stems of a text's words."""
        return [stem for word in self._words.tokenize(text) for stem in self._stems(word)]


class UnicodeWords:
    """A tokenizer for `RougeScorer`: case-insensitive words of any script."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text."""
        # Case folding that respects normal forms (Unicode, D145).
        folded = normalize("NFC", normalize("NFD", text).casefold())
        words: list[str] = _WORD.findall(_INVISIBLE.sub("", folded))
        return words


class Characters:
    """A tokenizer for `RougeScorer`: the visible characters, such as an emoji, without spaces."""

    def tokenize(self, text: str) -> list[str]:
        """Return the characters of a text, at least one unless it is blank."""
        return [character for character in _CHARACTER.findall(text) if not character.isspace()]


_STEMMED = RougeScorer(["rouge1", "rougeL"], tokenizer=StemmedWords())
_PLAIN = RougeScorer(["rougeL"], use_stemmer=False)
_UNICODE = RougeScorer(["rouge1", "rougeL"], tokenizer=UnicodeWords())
_CHARACTERS = RougeScorer(["rouge1", "rougeL"], tokenizer=Characters())


class RougeRecalls(NamedTuple):
    """ROUGE-1 and ROUGE-L recall, each in [0, 1]."""

    rouge_1: float
    rouge_l: float


def words_for(answer: str) -> Words:
    """Return which words an answer is compared by: `rouge_score`'s if its letters are Latin and it has such words."""
    text = normalize("NFC", answer)
    if has_known_words(text) and not _OTHER_SCRIPT.search(text):
        return "rouge_score"
    return "unicode" if UnicodeWords().tokenize(text) else "characters"


def rouge_recalls(generation: str, answer: str) -> RougeRecalls:
    """Return the ROUGE recall of the answer by the generation; NaN for a blank answer."""
    if not answer.strip():
        return RougeRecalls(math.nan, math.nan)
    scores = _scorer(answer, _STEMMED).score(normalize("NFC", answer), normalize("NFC", generation))
    return RougeRecalls(float(scores["rouge1"].recall), float(scores["rougeL"].recall))


def rouge_l_f(generation: str, answer: str) -> float:
    """Return ROUGE-L F1, the F-measure of the longest common subsequence, in [0, 1] (MUSE, Sec. 3); NaN for a blank answer."""
    if not answer.strip():
        return math.nan
    return float(_scorer(answer, _PLAIN).score(normalize("NFC", answer), normalize("NFC", generation))["rougeL"].fmeasure)


def _scorer(answer: str, latin: RougeScorer) -> RougeScorer:
    return {"rouge_score": latin, "unicode": _UNICODE, "characters": _CHARACTERS}[words_for(answer)]
