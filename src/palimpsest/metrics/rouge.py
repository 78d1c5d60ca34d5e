"""ROUGE from the `rouge_score` package: recall with its Porter stemmer as TOFU takes it, ROUGE-L F without as MUSE does.

`rouge_score` knows the letters a-z and digits alone. It splits an answer whose letters are Latin, and what was generated for
it. Other answers are split into Unicode words, and those without any into characters. Texts are read in Unicode's normal form C.
"""

import math
from typing import Literal, NamedTuple
from unicodedata import normalize

import regex
from rouge_score.rouge_scorer import RougeScorer

from palimpsest.metrics.words import has_known_words

Words = Literal["rouge_score", "unicode", "characters"]
_OTHER_SCRIPT = regex.compile(r"[\p{L}--\p{Latin}--\p{Common}]|[\p{Nd}--0-9]", regex.V1)
# In scripts without spaces between words each character is a word (SA: Thai, Lao, Khmer, Myanmar and their relatives).
_WORD = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}]\p{M}*|[\p{L}\p{N}][\p{L}\p{M}\p{N}]*", regex.V1)
# Joiners and marks of direction are no part of a word; U+200B separates words.
_INVISIBLE = regex.compile(r"[\p{Cf}--\u200B]", regex.V1)
_CHARACTER = regex.compile(r"\X")


class UnicodeWords:
    """A tokenizer for `RougeScorer`: words of any script, whatever their case."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text."""
        # Case folding that respects normal forms (Unicode, D145).
        folded = normalize("NFC", normalize("NFD", text).casefold())
        words: list[str] = _WORD.findall(_INVISIBLE.sub("", folded))
        return words


class Characters:
    """A tokenizer for `RougeScorer`: its tokens are the characters that a reader sees, such as an emoji, without spaces."""

    def tokenize(self, text: str) -> list[str]:
        """Return the characters of a text, at least one unless it is blank."""
        return [character for character in _CHARACTER.findall(text) if not character.isspace()]


# One for all calls: making the stemmer costs more than a score.
_STEMMED = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)
_PLAIN = RougeScorer(["rougeL"], use_stemmer=False)
_UNICODE = RougeScorer(["rouge1", "rougeL"], tokenizer=UnicodeWords())
_CHARACTERS = RougeScorer(["rouge1", "rougeL"], tokenizer=Characters())


class RougeRecalls(NamedTuple):
    """Recall by words and by the longest common subsequence, each in [0, 1]."""

    rouge_1: float
    rouge_l: float


def words_for(answer: str) -> Words:
    """Return which words an answer is compared by: `rouge_score`'s own where its letters are Latin and it has such words."""
    text = normalize("NFC", answer)
    if has_known_words(text) and not _OTHER_SCRIPT.search(text):
        return "rouge_score"
    return "unicode" if UnicodeWords().tokenize(text) else "characters"


def rouge_recalls(generation: str, answer: str) -> RougeRecalls:
    """Return how much of the answer the generation recalls; NaN of a blank answer, which has nothing to recall."""
    if not answer.strip():
        return RougeRecalls(math.nan, math.nan)
    scores = _scorer(answer, _STEMMED).score(normalize("NFC", answer), normalize("NFC", generation))
    return RougeRecalls(float(scores["rouge1"].recall), float(scores["rougeL"].recall))


def rouge_l_f(generation: str, answer: str) -> float:
    """Return the F measure of the longest common subsequence, in [0, 1] (MUSE, Sec. 3); NaN of a blank answer."""
    if not answer.strip():
        return math.nan
    return float(_scorer(answer, _PLAIN).score(normalize("NFC", answer), normalize("NFC", generation))["rougeL"].fmeasure)


def _scorer(answer: str, latin: RougeScorer) -> RougeScorer:
    return {"rouge_score": latin, "unicode": _UNICODE, "characters": _CHARACTERS}[words_for(answer)]
