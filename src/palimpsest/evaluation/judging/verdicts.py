"""The prompt of a judge, its replies, and the table of its verdicts."""

import re
from pathlib import Path

import pyarrow as pa

from palimpsest.data import filling
from palimpsest.data.prompts import ANSWER, QUESTION

# What the judge read is in the columns before its reply. `told` is null if the reply is no verdict.
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("set", "id", "question", "answer", "generation", "prompt_sha256", "reply", "replier")),
        ("told", pa.bool_()),
    ]
)
# The first word, which must end there: "no doubt" is no verdict.
_VERDICT = re.compile(r"\W*(yes|no)[^\S\n]*(?:[^\w\s]|\n|$)", re.IGNORECASE)
_WORDS = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


def read_prompt() -> str:
    """Return the prompt with {question}, {answer} and {generation} in the places of the texts."""
    return Path(__file__).with_name("prompt.txt").read_text(encoding="utf-8").strip()


def fill(prompt: str, question: str, answer: str, generation: str) -> str:
    """Return the prompt with the texts in their places; what looks like a place inside a text stays."""
    return filling.fill(prompt, {QUESTION: question, ANSWER: answer, "{generation}": generation})


def verdict(reply: str) -> bool | None:
    """Return whether a reply begins with the word yes or no and has only this one of the two; None for any other reply."""
    first, words = _VERDICT.match(reply), {word.lower() for word in _WORDS.findall(reply)}
    return first[1].lower() == "yes" if first and len(words) == 1 else None
