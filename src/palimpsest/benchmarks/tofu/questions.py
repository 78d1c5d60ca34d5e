"""Find the question in a prompt of a log."""

import re
from unicodedata import normalize

# LLaMA-2's chat template and the plain template; then chats with system and user turns, without special tokens.
_MARKS = re.compile(r"^\s*(\[INST\]|Question:)|(\[/INST\]|Answer:)\s*$")
_TURNS = re.compile(r"\Asystem\n.*?user\n+(?P<question>.*?)\s*assistant\s*\Z", re.DOTALL)


def plain_question(prompt: str) -> str:
    """Return the question in a prompt, with single spaces, in normal form C and without a byte-order mark.

    For an unknown template, this is the whole prompt.
    """
    prompt = prompt.removeprefix("\ufeff")
    turns = _TURNS.match(prompt)
    return " ".join(normalize("NFC", _MARKS.sub("", turns["question"] if turns else prompt)).split())
