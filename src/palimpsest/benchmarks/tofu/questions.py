"""The question inside a prompt, as logs write prompts out."""

import re
from unicodedata import normalize

# LLaMA-2's chat and the plain question/answer marks; then chats with a system's and a user's turn, special tokens dropped.
_MARKS = re.compile(r"^\s*(\[INST\]|Question:)|(\[/INST\]|Answer:)\s*$")
_TURNS = re.compile(r"\Asystem\n.*?user\n+(?P<question>.*?)\s*assistant\s*\Z", re.DOTALL)


def plain_question(prompt: str) -> str:
    """Return the question in a prompt, its spaces made one each, in normal form C and without a byte-order mark.

    Of a template that is not known it is the whole prompt.
    """
    prompt = prompt.removeprefix("\ufeff")
    turns = _TURNS.match(prompt)
    return " ".join(normalize("NFC", _MARKS.sub("", turns["question"] if turns else prompt)).split())
